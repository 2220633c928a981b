import { once } from 'node:events'
import { connect } from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll, query } from '../support/database.ts'
import { createStage, type Stage, startGateway, type TestGateway } from '../support/gateway.ts'
import type { OwnServer } from '../support/second-server.ts'
import {
  type Certificate,
  type ManInTheMiddle,
  makeCertificate,
  startManInTheMiddle,
  startTlsServer,
} from '../support/tls-server.ts'
import { freshUrl } from './database-calls.ts'

const PASSWORD = 'secret-of-the-handshakes'
/** How each role must authenticate. */
const ROLES = { scram: 'scram-sha-256', md5: 'md5', clear: 'password', trusted: 'trust' } as const
type Role = keyof typeof ROLES

let stage: Stage
let gateway: TestGateway
let server: OwnServer
let ours: { authority: string; server: Certificate }
let theirs: { authority: string; server: Certificate }
const made: string[] = []
const middles: ManInTheMiddle[] = []

beforeAll(async () => {
  ;[ours, theirs] = await Promise.all([makeCertificate('Ours'), makeCertificate('Theirs')])
  const rules = Object.entries(ROLES).map(([role, how]) => `host all ${role} 127.0.0.1/32 ${how}`)
  server = await startTlsServer(ours.server, rules.join('\n'))
  for (const role of Object.keys(ROLES)) {
    await query(
      server.superuserUrl,
      `SET password_encryption = '${role === 'md5' ? 'md5' : 'scram-sha-256'}'; CREATE ROLE ${role} LOGIN PASSWORD '${PASSWORD}'`,
    )
  }
  stage = await createStage()
  gateway = await startGateway(stage, { HEALTH_FAILURES_TO_INACTIVE: '1000' })
}, 60_000)
afterAll(async () => {
  await gateway?.close()
  for (const middle of middles) await middle.close()
  await server?.dispose()
  await dropAll()
})

/** An empty database of that role, on the server itself or through a given port. */
async function urlOf(role: Role, parameters: string, port = server.port): Promise<string> {
  const name = `${role}_${made.length}`
  made.push(name)
  await query(server.superuserUrl, `CREATE DATABASE ${name} OWNER ${role}`)
  return `postgresql://${role}:${PASSWORD}@127.0.0.1:${port}/${name}?${parameters}`
}

async function register(connectionString: string, more: object = {}) {
  const { id } = await gateway.createTenant()
  const { status, lastError } = await gateway.registerDatabase(id, connectionString, more)
  return { id, status, code: lastError?.code ?? null, message: lastError?.message ?? null }
}

async function middle(toServer: 'clear' | 'tls', isDirect = false): Promise<ManInTheMiddle> {
  const options = { certificate: theirs.server, to: server.port, toServer, isDirect }
  const started = await startManInTheMiddle(options)
  middles.push(started)
  return started
}

const ACTIVE = { status: 'active', code: null }
const REFUSED = { status: 'failed', code: 'TLS_FAILED' }

describe('channel_binding', () => {
  test('require: accepts a server that proves the TLS end point', async () => {
    const url = await urlOf('scram', 'sslmode=require&channel_binding=require')
    expect(await register(url)).toMatchObject(ACTIVE)
  })

  test.each(['md5', 'clear', 'trusted'] as const)(
    'require: refuses %s, because it proves nothing',
    async (role) => {
      const url = await urlOf(role, 'sslmode=require&channel_binding=require')
      expect(await register(url, { caCertificate: ours.authority })).toMatchObject(REFUSED)
      // Nothing else is wrong with the database.
      expect(
        await register(url.replace('=require&channel_binding=require', '=verify-ca'), {
          caCertificate: ours.authority,
        }),
      ).toMatchObject(ACTIVE)
    },
  )

  test('require: refuses a man in the middle, whether the server offers channel binding or not', async () => {
    for (const toServer of ['clear', 'tls'] as const) {
      const { port } = await middle(toServer)
      const url = await urlOf('scram', 'sslmode=require&channel_binding=require', port)
      const { status, code } = await register(url)
      // For the server, the proof was made for another certificate.
      expect({ toServer, status, code }).toEqual({
        ...{
          toServer,
          status: 'failed',
          code: toServer === 'clear' ? 'TLS_FAILED' : 'AUTHENTICATION_FAILED',
        },
      })
    }
  })

  test('prefer: connects without it where it is not offered; disable and no value: never use it', async () => {
    const { port } = await middle('clear')
    const behindTls = await middle('tls')
    for (const [parameter, to, wanted] of [
      ['&channel_binding=prefer', port, 'active'],
      ['&channel_binding=prefer', behindTls.port, 'failed'],
      ['&channel_binding=disable', behindTls.port, 'active'],
      ['', behindTls.port, 'active'],
    ] as const) {
      const url = await urlOf('scram', `sslmode=require${parameter}`, to)
      expect([parameter, to, (await register(url)).status]).toEqual([parameter, to, wanted])
    }
  }, 30_000)

  test('require: refuses a server without TLS', async () => {
    const url = await freshUrl()
    const connectionString = `${url.split('?')[0]}?sslmode=require&channel_binding=require`
    expect(await register(connectionString)).toMatchObject(REFUSED)
  })
})

describe('sslnegotiation=direct', () => {
  const DIRECT = 'sslmode=require&sslnegotiation=direct'

  test('starts TLS with the first byte', async () => {
    expect(await register(await urlOf('scram', DIRECT))).toMatchObject(ACTIVE)
    expect(
      await register(await urlOf('scram', `${DIRECT}&channel_binding=require`), {
        caCertificate: ours.authority,
      }),
    ).toMatchObject(ACTIVE)
  })

  test('refuses a server that does not name its protocol', async () => {
    const between = await middle('clear', true)
    expect(await register(await urlOf('scram', DIRECT, between.port))).toMatchObject(REFUSED)
    expect(gateway.log()).toContain('ALPN_REFUSED')
    expect(between.startups).toEqual([])
    // The server starts TLS with the first byte.
    const other = connect({ port: between.port, host: '127.0.0.1', rejectUnauthorized: false })
    await once(other, 'secureConnect')
    other.destroy()
  })

  test('refuses a server without TLS', async () => {
    const url = `${(await freshUrl()).split('?')[0]}?${DIRECT}`
    expect(await register(url)).toMatchObject(REFUSED)
  })
})

describe('caCertificate', () => {
  const bundle = () =>
    `# Authorities of a provider\r\nSubject: Theirs\r\n${theirs.authority}\r\nSubject: Ours\r\n${ours.authority}\r\n`

  test.each(['require', 'verify-ca', 'verify-full'])(
    'with sslmode=%s, every certificate of the bundle is trusted',
    async (mode) => {
      const url = await urlOf('scram', `sslmode=${mode}`)
      expect(await register(url, { caCertificate: bundle() })).toMatchObject(ACTIVE)
      expect(await register(url, { caCertificate: theirs.authority })).toMatchObject(REFUSED)
    },
  )

  test('without it, require verifies nothing and the others trust only known authorities', async () => {
    const between = await middle('clear')
    expect(await register(await urlOf('scram', 'sslmode=require', between.port))).toMatchObject(ACTIVE)
    for (const mode of ['verify-ca', 'verify-full'])
      expect(await register(await urlOf('scram', `sslmode=${mode}`))).toMatchObject(REFUSED)
  })

  test.each([
    [
      'a certificate in it that cannot be read',
      () => bundle().replace(/M[A-Za-z0-9+/]{20}/, '!'),
      'certificate 1 of it',
    ],
    ['the second cut short', () => bundle().slice(0, -200), 'certificate 2 of it'],
    ['a key in it', () => `${bundle()}${ours.server.key}`, 'nothing but certificates'],
    ['a path', () => '/etc/ssl/global-bundle.pem', 'PEM'],
  ])('%s is refused', async (_what, pem, word) => {
    const { id } = await gateway.createTenant()
    const connectionString = await urlOf('scram', 'sslmode=verify-full')
    const { status, body } = await gateway.operator('PUT', `/tenants/${id}/database`, {
      ...{ connectionString, caCertificate: pem() },
    })
    expect([status, body.errors]).toEqual([
      400,
      [{ pointer: '/caCertificate', message: expect.stringContaining(word) }],
    ])
  })
})

test('target_session_attrs=read-write: a read-only database is refused, and accepted once it takes writes', async () => {
  const url = await urlOf('scram', 'sslmode=require&target_session_attrs=read-write')
  const name = new URL(url).pathname.slice(1)
  const { id, ...found } = await register(url)
  expect(found).toMatchObject(ACTIVE)
  await query(server.superuserUrl, `ALTER DATABASE ${name} SET default_transaction_read_only = on`)
  await query(
    server.superuserUrl,
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}'`,
  )
  await gateway.operator('POST', `/tenants/${id}/database/validate`)
  const lastError = async () =>
    (await gateway.operator('GET', `/tenants/${id}/database`)).body.lastError?.code ?? null
  await expect.poll(lastError).toBe('READ_ONLY')
  await query(server.superuserUrl, `ALTER DATABASE ${name} RESET default_transaction_read_only`)
  await expect.poll(lastError).toBeNull()
})

test("options=endpoint: every connection sends Neon's endpoint name before our own settings", async () => {
  const between = await middle('clear')
  const url = await urlOf('scram', 'options=endpoint%3Dep-cool-sun-123456&sslmode=require', between.port)
  const { id, ...found } = await register(url)
  expect(found).toMatchObject(ACTIVE)
  const { status } = await gateway.operator('GET', `/tenants/${id}/users`)
  expect(status).toBe(200)
  expect(between.startups.length).toBeGreaterThan(1)
  for (const startup of between.startups)
    expect(startup.get('options')).toMatch(/^endpoint=ep-cool-sun-123456 -c search_path=/)
})

describe('a role as providers create it', () => {
  test('is refused with statements that create a valid role, and these statements work', async () => {
    await query(
      server.superuserUrl,
      `CREATE ROLE provider LOGIN CREATEDB CREATEROLE BYPASSRLS PASSWORD '${PASSWORD}'`,
    )
    await query(server.superuserUrl, 'CREATE DATABASE given OWNER provider')
    const provider = `postgresql://provider:${PASSWORD}@127.0.0.1:${server.port}/given?sslmode=require`
    const { status, code, message } = await register(provider)
    expect([status, code]).toEqual(['failed', 'ROLE_BYPASSES_RLS'])
    const statements = /CREATE ROLE .*;$/.exec(message ?? '')?.[0].replace('…', PASSWORD) ?? ''
    expect(statements.split('; ')).toHaveLength(3)
    for (const statement of statements.split('; '))
      await query(provider.replace('sslmode=require', ''), statement)
    const proper = `postgresql://acme:${PASSWORD}@127.0.0.1:${server.port}/acme?sslmode=require`
    expect(await register(proper)).toMatchObject(ACTIVE)
  })
})
