import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TLSSocket } from 'node:tls'
import { promisify } from 'node:util'
import { type OwnServer, startOwnServer } from './second-server.ts'
import { withClient } from './tenant-database.ts'

const run = promisify(execFile)
const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-noenc', '-days', '2']

export interface Certificate {
  readonly cert: string
  readonly key: string
}

/** A certificate authority and its certificate for 127.0.0.1, made by the command `openssl`. */
export async function makeCertificate(name: string): Promise<{ authority: string; server: Certificate }> {
  const directory = await mkdtemp(join(tmpdir(), 'freehold-test-certificate-'))
  const path = (file: string) => join(directory, file)
  try {
    const authority = ['-x509', '-subj', `/CN=${name}`, '-keyout', path('ca.key'), '-out', path('ca.crt')]
    await run('openssl', ['req', ...KEY, ...authority])
    const signed = ['-x509', '-CA', path('ca.crt'), '-CAkey', path('ca.key'), '-subj', '/CN=db.example.com']
    const names = ['-addext', 'subjectAltName=IP:127.0.0.1', '-addext', 'basicConstraints=CA:FALSE']
    await run('openssl', [
      'req',
      ...KEY,
      ...signed,
      ...names,
      '-keyout',
      path('s.key'),
      '-out',
      path('s.crt'),
    ])
    const read = (file: string) => readFile(path(file), 'utf8')
    return {
      authority: await read('ca.crt'),
      server: { cert: await read('s.crt'), key: await read('s.key') },
    }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/** A separate server with TLS. `access` are lines that come first in its pg_hba.conf. */
export async function startTlsServer(certificate: Certificate, access: string): Promise<OwnServer> {
  const server = await startOwnServer()
  await withClient(server.superuserUrl, async (client) => {
    const { rows } = await client.query<{ data_directory: string }>('SHOW data_directory')
    const data = rows[0]?.data_directory ?? ''
    const { uid, gid } = await stat(data)
    for (const [file, text] of [
      ['server.crt', certificate.cert],
      ['server.key', certificate.key],
    ] as const) {
      await writeFile(join(data, file), text, { mode: 0o600 })
      await chown(join(data, file), uid, gid)
    }
    const hba = join(data, 'pg_hba.conf')
    await writeFile(hba, `${access}\n${await readFile(hba, 'utf8')}`)
    await client.query('ALTER SYSTEM SET ssl = on')
    await client.query('SELECT pg_reload_conf()')
    for (;;) {
      const shown = await client.query<{ ssl: string }>('SHOW ssl')
      if (shown.rows[0]?.ssl === 'on') break
    }
  })
  return server
}

const SSL_REQUEST = 80_877_103

export interface ManInTheMiddle {
  readonly port: number
  /** The startup messages of its clients. */
  readonly startups: ReadonlyMap<string, string>[]
  close(): Promise<void>
}

/**
 * Ends TLS with its own certificate and passes everything on to a server, in clear or in its own TLS. `isDirect`: it expects TLS
 * from the first byte, without ALPN. It removes Neon's `endpoint=…` from the startup message, as Neon's proxy does.
 */
export async function startManInTheMiddle(options: {
  certificate: Certificate
  to: number
  toServer: 'clear' | 'tls'
  isDirect?: boolean
}): Promise<ManInTheMiddle> {
  const startups: ReadonlyMap<string, string>[] = []
  const sockets = new Set<Socket>()
  const server: Server = createServer((client) => {
    sockets.add(client)
    client.on('error', () => {})
    if (options.isDirect === true) secure(client)
    else client.once('data', () => client.write('S', () => secure(client)))
  })

  function secure(client: Socket): void {
    const secured = new TLSSocket(client, { isServer: true, ...options.certificate })
    secured.on('error', () => {}).once('data', (startup: Buffer) => void passOn(secured, startup))
  }

  async function passOn(client: Socket, startup: Buffer): Promise<void> {
    const parameters = readStartup(startup)
    startups.push(parameters)
    const settings = parameters.get('options')?.replace(/^endpoint=\S+ /, '') ?? ''
    const onward = await dial(options.to, options.toServer)
    sockets.add(onward)
    onward.on('error', () => client.destroy()).on('close', () => client.destroy())
    client.on('close', () => onward.destroy())
    onward.write(writeStartup(new Map([...parameters, ['options', settings]])))
    client.pipe(onward).pipe(client)
  }

  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    port: address !== null && typeof address === 'object' ? address.port : 0,
    startups,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

async function dial(port: number, how: 'clear' | 'tls'): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port })
  await once(socket, 'connect')
  if (how === 'clear') return socket
  const request = Buffer.alloc(8)
  request.writeInt32BE(8)
  request.writeInt32BE(SSL_REQUEST, 4)
  socket.write(request)
  await once(socket, 'data')
  return new TLSSocket(socket, { rejectUnauthorized: false })
}

/** Four bytes of length, four of version, then names and values that end in zeros. */
function readStartup(message: Buffer): Map<string, string> {
  const words = message.subarray(8).toString().split('\0')
  const parameters = new Map<string, string>()
  for (let at = 0; words[at]; at += 2) parameters.set(words[at] ?? '', words[at + 1] ?? '')
  return parameters
}

function writeStartup(parameters: ReadonlyMap<string, string>): Buffer {
  const body = Buffer.from(`${[...parameters].flat().join('\0')}\0\0`)
  const head = Buffer.alloc(8)
  head.writeInt32BE(8 + body.length)
  head.writeInt32BE(3 << 16, 4)
  return Buffer.concat([head, body])
}
