import { type ApiCommand, choice, command, number, required, switchTo, text, textFile } from '../command.ts'

const NAME = text('name', 'name', 'its name')
const CONNECTION = textFile(
  'connection-string-file',
  'connectionString',
  "file with the administrator's connection string",
)
const REGION = text('region', 'region', 'where it is')
const CAPACITY = number('capacity', 'capacity', 'most databases on it')
const READY = number('ready', 'ready', 'databases to make in advance; only 0 is accepted now')

export const SERVERS: readonly ApiCommand[] = [
  command('servers list', 'GET /servers', [
    'list the database servers',
    { columns: ['name', 'status', 'databases', 'capacity', 'region', 'host', 'lastError.code', 'id'] },
  ]),
  command('servers get', 'GET /servers/{id}', ['show a server']),
  command('servers add', 'POST /servers', [
    'add a server after it has answered',
    {
      flags: [
        required(NAME),
        required(CONNECTION),
        textFile('ca-certificate-file', 'caCertificate', "file with the server's CA certificate (PEM)"),
        REGION,
        CAPACITY,
        READY,
      ],
    },
  ]),
  command('servers update', 'PATCH /servers/{id}', [
    'change a server',
    {
      flags: [
        NAME,
        choice('status', ['active', 'draining'], 'draining: it gets no new databases'),
        REGION,
        switchTo(null, ['no-region', 'region'], 'no region'),
        CAPACITY,
        READY,
        CONNECTION,
      ],
    },
  ]),
  command('servers remove', 'DELETE /servers/{id}', [
    "forget a server that has no tenant's database",
    { question: 'Forget the server {id}?' },
  ]),
]
