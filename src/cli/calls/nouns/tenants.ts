import {
  type ApiCommand,
  choice,
  command,
  jsonFile,
  number,
  required,
  switchTo,
  tenant,
  text,
  textFile,
} from '../command.ts'

const STATUSES = ['ACTIVE', 'INACTIVE']
const DATABASE = '/tenants/{id}/database'
const AUTHENTICATION = jsonFile(
  'auth-config-file',
  'authConfig',
  "file with the tenant's authentication policy, as JSON",
)
const EXTERNAL_IDS = jsonFile('external-ids-file', 'externalIds', 'file with a JSON list of {issuer, id}')

export const TENANTS: readonly ApiCommand[] = [
  command('tenants list', 'GET /tenants', [
    'list the tenants',
    {
      columns: ['code', 'status', 'placement', 'database.status', 'name', 'id'],
      flags: [
        choice('status', STATUSES, 'only those with this status'),
        choice('placement', ['shared', 'dedicated'], 'only those that live there'),
        text('q', 'q', 'only those with this text in their code or name'),
        tenant('parent', 'parentId', 'only the children of this tenant'),
      ],
    },
  ]),
  command('tenants get', 'GET /tenants/{id}', ['show a tenant']),
  command('tenants create', 'POST /tenants', [
    'create a tenant',
    {
      argument: { name: 'code', field: 'code' },
      flags: [
        required(text('name', 'name', "the tenant's name")),
        tenant('parent', 'parentId', 'the tenant above it'),
        text('admin-email', 'admin.email', 'address of its first administrator'),
        textFile('admin-password-file', 'admin.password', "file with the administrator's password"),
        text('admin-name', 'admin.name', "the administrator's name"),
        jsonFile('roles-file', 'roles', 'file with a JSON list of {name, permissions}'),
        AUTHENTICATION,
        EXTERNAL_IDS,
      ],
    },
  ]),
  command('tenants update', 'PATCH /tenants/{id}', [
    'change a tenant',
    {
      flags: [
        text('name', 'name', 'another name'),
        choice('status', STATUSES, 'another status'),
        tenant('parent', 'parentId', 'another tenant above it'),
        switchTo(null, ['no-parent', 'parentId'], 'no tenant above it'),
        AUTHENTICATION,
        EXTERNAL_IDS,
      ],
    },
  ]),
  command('tenants suspend', 'PATCH /tenants/{id}', [
    'refuse every request of a tenant',
    { fixed: { status: 'INACTIVE' } },
  ]),
  command('tenants activate', 'PATCH /tenants/{id}', [
    'serve a suspended tenant again',
    { fixed: { status: 'ACTIVE' } },
  ]),
]

export const EXPLAIN: readonly ApiCommand[] = [
  command('explain', 'GET /tenants/{id}/explain', [
    'tell what a request of a tenant would get now, and why',
    { sentences: 'because' },
  ]),
]

export const DATABASES: readonly ApiCommand[] = [
  command('databases get', `GET ${DATABASE}`, ["show a tenant's database"]),
  command('databases set', `PUT ${DATABASE}`, [
    'register a database of a tenant',
    {
      flags: [
        required(textFile('connection-string-file', 'connectionString', 'file with the connection string')),
        textFile('ca-certificate-file', 'caCertificate', "file with the server's CA certificate (PEM)"),
        number('pool-size', 'poolSize', 'most connections'),
        number('idle-timeout', 'idleTimeoutSeconds', 'seconds until an unused connection is closed'),
        number('connection-timeout', 'connectionTimeoutSeconds', 'seconds to wait for the server'),
        switchTo(false, ['no-migrations', 'applyMigrations'], 'apply no migrations to it'),
      ],
    },
  ]),
  command('databases validate', `POST ${DATABASE}/validate`, [
    'validate it again',
    { flags: [switchTo(true, ['adopt', 'adopt'], 'accept it although its stamp contradicts the catalog')] },
  ]),
  command('databases remove', `DELETE ${DATABASE}`, [
    'forget a registered database',
    {
      question: 'Forget the database of {tenant}?',
      flags: [
        switchTo(true, ['force', 'force'], 'give up a database that is gone, with all rows in it'),
        text('confirm', 'confirm', "the tenant's code, which --force needs"),
      ],
    },
  ]),
]
