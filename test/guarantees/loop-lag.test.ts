import { afterAll, beforeAll, expect, test } from 'vitest'
import { startProcess } from '../faults/support.ts'
import { openFixture } from '../http/support.ts'
import { dropAll } from '../support/database.ts'
import type { Caller, TestTenant } from '../support/gateway.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'

/** No other request is served during this time. It is processor time, because tests share the processor with others. */
const LONGEST_TURN_MS = 100
const MOST_VALUES = 9_900

/** Runs in the gateway. Reports each long turn of its event loop, and how much of the turn was work. */
const WATCH = `
  let [last, used] = [performance.now(), process.cpuUsage()]
  setInterval(() => {
    const { user, system } = process.cpuUsage(used)
    const turn = Math.min(performance.now() - last, (user + system) / 1000)
    if (turn > 20) process.stderr.write('turn ' + turn.toFixed() + '\\n')
    last = performance.now(), used = process.cpuUsage()
  }, 4).unref()`

let target: { readonly process: GatewayProcess; readonly caller: Caller }
let tenant: TestTenant
let operatorToken: string
beforeAll(async () => {
  const { gateway, shared, stage } = await openFixture()
  await gateway.close()
  tenant = shared
  operatorToken = stage.operatorToken
  target = await startProcess(stage, {
    NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(WATCH)}`,
    RATE_LIMIT_PER_MINUTE: '100000',
    LOGIN_RATE_LIMIT_PER_MINUTE: '100000',
  })
  // Code that is compiled at its first use does not count, because a caller cannot repeat that.
  for (const [, request] of hostile()) await ask(request)
}, 120_000)
afterAll(async () => {
  await target?.process.end('SIGKILL')
  await dropAll()
})

interface Hostile {
  readonly method: string
  readonly path: string
  readonly body?: string
  readonly headers: Record<string, string>
}

const many = <T>(count: number, of: (n: number) => T): T[] => Array.from({ length: count }, (_, n) => of(n))
const fields = (count: number, name: (n: number) => string) =>
  Object.fromEntries(many(count, (n) => [name(n), n]))
const x = (count: number) => 'x'.repeat(count)

function hostile(): [string, Hostile][] {
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
  const send = (
    path: string,
    body: unknown,
    headers: Record<string, string> = bearer(tenant.token),
  ): Hostile => ({
    ...{ method: 'POST', path, headers: { 'content-type': 'application/json', ...headers } },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  const get = (path: string, headers = {}): Hostile => ({
    ...{ method: 'GET', path, headers: { ...bearer(tenant.token), ...headers } },
  })
  const login = (body: object) => send('/auth/login', { tenantCode: tenant.code, password: 'p', ...body }, {})
  const certificate = (caCertificate: string): Hostile => {
    const body = { connectionString: 'postgres://u:p@db.invalid/d', caCertificate }
    return { ...send(`/tenants/${tenant.id}/database`, body, bearer(operatorToken)), method: 'PUT' }
  }
  const upload = (body: string): Hostile => ({
    ...{ method: 'POST', path: '/media', body },
    headers: { ...bearer(tenant.token), 'content-type': 'multipart/form-data; boundary=B' },
  })
  const file = 'Content-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
  return [
    [
      'unknown names, to be put into words',
      send(
        '/places',
        fields(MOST_VALUES, (n) => `${n}${'~/'.repeat(45)}`),
      ),
    ],
    [
      'the same a level deeper',
      send('/places', { name: 'x', address: fields(MOST_VALUES, (n) => `${n}${'~'.repeat(90)}`) }),
    ],
    ['items that are none', send('/leases', { lesseeIds: many(MOST_VALUES, () => x(90)) })],
    ['items of another type', send('/roles', { name: 'x', permissions: many(4_900, (n) => ({ n })) })],
    [
      'items that are alike',
      send('/users', { email: 'a@b.c', password: x(20), roles: many(MOST_VALUES, () => x(90)) }),
    ],
    ['half a million values', send('/places', `{"a":[${'1,'.repeat(500_000)}1]}`)],
    ['as many lists', send('/places', `[${'[],'.repeat(340_000)}[]]`)],
    ['as many names', send('/places', `{${many(70_000, (n) => `"k${n}":1`).join(',')}}`)],
    ['a depth without end', send('/places', '['.repeat(1_000_000))],
    ['a text without end', send('/places', `"${'\\\\'.repeat(500_000)}`)],
    ['space', send('/places', `{"name":"x"${' '.repeat(1_000_000)}`)],
    ['a long name', send('/places', { name: '😀'.repeat(240_000) })],
    ['a long address of mail', send('/lessees', { kind: 'person', name: 'x', email: '@'.repeat(1_000_000) })],
    ['a long name at sign-in', login({ email: 'İ'.repeat(400_000) })],
    ['a long password', login({ email: 'a@b.c', password: 'é'.repeat(480_000) })],
    ['a sign-in of many names', login(fields(MOST_VALUES, (n) => `f${n}`))],
    ['a long refresh token', send('/auth/refresh', { refreshToken: x(1_000_000) }, {})],
    [
      'a long code',
      send('/tenants', { code: `${x(60)}${'-'.repeat(900_000)}`, name: 'x' }, bearer(operatorToken)),
    ],
    [
      'certificates that are none',
      certificate('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'.repeat(15_000)),
    ],
    ['a certificate without an end', certificate('-----BEGIN CERTIFICATE-----\n'.repeat(35_000))],
    ['a query of many names', get(`/places?${many(1_500, (n) => `f${n}=1`).join('&')}`)],
    ['a query of one name', get(`/places?${'a=1&'.repeat(3_500)}`)],
    ['a long order', get(`/places?sort=${'-a,'.repeat(4_500)}`)],
    ['a long cursor', get(`/places?cursor=${x(14_000)}`)],
    ['a long token', get('/places', bearer(`${'a.'.repeat(7_000)}`))],
    ['many tags', get('/places', { 'if-none-match': '"a",'.repeat(3_000) })],
    ['many encodings', get('/places', { 'accept-encoding': 'br;q=0.1,'.repeat(1_500) })],
    ['many addresses', get('/places', { 'x-forwarded-for': '1.2.3.4,'.repeat(1_700) })],
    [
      'a type without an end',
      {
        ...send('/places', '{}'),
        headers: { ...bearer(tenant.token), 'content-type': `application/json${'; charset'.repeat(1_500)}` },
      },
    ],
    [
      'a form of many parts',
      upload('--B\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n'.repeat(20_000)),
    ],
    ['a part of many headers', upload(`--B\r\n${'A: b\r\n'.repeat(100_000)}\r\nx\r\n--B--`)],
    ['a file of almost ends', upload(`--B\r\n${file}${'\r\n--'.repeat(1_000_000)}\r\n--B--`)],
  ]
}

async function ask({ method, path, body, headers }: Hostile): Promise<number> {
  const url = `${target.caller.url}/api/v1${path}`
  const response = await fetch(url, { method, headers, body: body ?? null }).catch(() => null)
  await response?.text().catch(() => undefined)
  return response?.status ?? 0
}

test('no request blocks the event loop for long', async () => {
  const turns: string[] = []
  for (const [what, request] of hostile()) {
    const before = target.process.stderr.length
    expect(await ask(request), what).toBeLessThan(500)
    // The next turn reports a turn.
    expect((await target.caller.call('GET', '/livez')).status).toBe(200)
    const told = [...target.process.stderr.slice(before).matchAll(/^turn (\d+)$/gm)].map(([, ms]) =>
      Number(ms),
    )
    if (Math.max(0, ...told) >= LONGEST_TURN_MS) turns.push(`${what}: ${Math.max(...told)} ms`)
  }
  expect(turns).toEqual([])
}, 120_000)
