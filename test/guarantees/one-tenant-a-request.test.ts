import { Agent, request as httpRequest } from 'node:http'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll } from '../support/database.ts'
import { type Cast, openCast } from './cast.ts'
import { judge, type Verdict } from './tenant-model.ts'

/**
 * Combines every way to name a tenant with every other, at a real gateway. The gateway serves the one tenant that the model
 * gives, or refuses with the code that the model gives. Neither the first name nor the last one wins over the other.
 */
let cast: Cast
const agent = new Agent({ keepAlive: true, maxSockets: 16 })
beforeAll(async () => {
  cast = await openCast()
})
afterAll(async () => {
  agent.destroy()
  await cast?.close()
  await dropAll()
})

type Header = readonly [name: string, value: string]

interface Asking {
  readonly headers: readonly Header[]
  readonly path: string
  readonly query?: string
  readonly body?: object
}

/** Sends headers exactly as given: repeated, with unusual spelling, in this order. */
async function ask({ headers, path, query = '', body }: Asking): Promise<Verdict> {
  const text = body === undefined ? '' : JSON.stringify(body)
  const sent: Header[] = [['Host', 'gateway'], ...headers]
  if (body !== undefined)
    sent.push(['Content-Type', 'application/json'], ['Content-Length', `${text.length}`])
  const { port } = new URL(cast.url)
  const { promise, resolve, reject } = Promise.withResolvers<Verdict>()
  const options = { port, agent, method: body ? 'POST' : 'GET', path: `/api/v1${path}${query}` }
  const outgoing = httpRequest({ ...options, host: '127.0.0.1', headers: sent.flat() }, (response) => {
    let said = ''
    response.setEncoding('utf8').on('data', (chunk: string) => {
      said += chunk
    })
    response.on('end', () => resolve(verdictOf(response.statusCode ?? 0, said)))
  })
  outgoing.on('error', reject)
  // As bytes. If headers and a body of text are written together, Node would send headers beyond ASCII as UTF-8 instead of
  // Latin-1.
  outgoing.end(Buffer.from(text))
  return promise
}

/** Each tenant has one place whose name is the tenant's code, so each row shows whose it is. */
function verdictOf(status: number, said: string): Verdict {
  const body = JSON.parse(said)
  if (status >= 400) return { refuses: body.code }
  if (status !== 200) return { refuses: `a surprising ${status}` }
  if (body.accessToken !== undefined) return { serves: claimsOf(body.accessToken).tenantCode }
  return { serves: body.data.map(({ name }: { name: string }) => name).join() }
}

const claimsOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())

interface Names {
  readonly code: readonly string[]
  readonly actFor: readonly string[]
}

const headersOf = (credentials: readonly Header[], { code, actFor }: Names): Header[] => [
  ...credentials,
  ...code.map((value): Header => ['X-Tenant-Code', value]),
  ...actFor.map((value): Header => ['X-Account-Id', value]),
]

describe('a request works in one tenant', () => {
  test('for every caller with every plain name, in header and act-for header', async () => {
    const codes = [...cast.tenants.map(({ code }) => code), 'no-such-tenant', '', null]
    const accounts = [...codes, ...cast.tenants.map(({ id }) => id)]
    const one = (name: string | null) => (name === null ? [] : [name])
    const all = cast.shown.flatMap(([, credential]) =>
      codes.flatMap((code) =>
        accounts.map((account) => headersOf([credential], { code: one(code), actFor: one(account) })),
      ),
    )
    const outcomes = new Map<string, number>()
    const wrong: unknown[] = []
    await inParallel(16, all, async (headers) => {
      const wanted = judge(cast.world, { headers, namesTenantElsewhere: false })
      const found = await ask({ headers, path: '/places' })
      if (!same(wanted, found)) wrong.push({ headers: named(headers), wanted, found })
      const outcome = Object.values(wanted).join()
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
    })
    expect(wrong.slice(0, 5)).toEqual([])
    // The combinations cover every result. A model that refuses everything would prove nothing.
    const errors = ['CROSS_TENANT_ACCESS', 'INVALID_CREDENTIALS', 'PERMISSION_DENIED', 'TENANT_AMBIGUOUS']
    const more = ['TENANT_NOT_FOUND', 'TOKEN_INVALID', 'UNAUTHENTICATED']
    const served = cast.tenants.filter(({ isActive }) => isActive).map(({ code }) => code)
    expect([...outcomes.keys()].sort()).toEqual([...errors, ...more, ...served].sort())
  })

  test('for any mix of credentials, odd spellings, doubled headers, bodies and queries', async () => {
    await fc.assert(
      fc.asyncProperty(arbitraryAsking(cast), async ({ asking, namesTenantElsewhere }) => {
        const wanted = judge(cast.world, { headers: asking.headers, namesTenantElsewhere })
        const found = await ask(asking)
        expect({ ...found, of: named(asking.headers) }).toEqual({ ...wanted, of: named(asking.headers) })
      }),
      { numRuns: 2_000 },
    )
  })

  test('at login, where the body names the tenant and the header may only agree', async () => {
    const { users } = cast
    const codes = [...cast.tenants.map(({ code }) => code), 'no-such-tenant']
    const names = fc.array(fc.constantFrom(...codes, ''), { maxLength: 2 })
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...users),
        fc.constantFrom(...codes),
        names,
        async (user, into, named) => {
          const body = { tenantCode: into, email: user.email, password: user.password }
          const headers = headersOf([], { code: named, actFor: [] })
          const found = await ask({ headers, path: '/auth/login', body })
          const there = cast.tenants.find(({ code }) => code === into)
          const isIn = user.tenantCode === into
          if (named.length > 1) expect(found).toEqual({ refuses: 'VALIDATION_FAILED' })
          else if (named.length === 1 && named[0] !== into)
            expect(found).toEqual({ refuses: 'TENANT_AMBIGUOUS' })
          else if (!there?.isActive) expect(found).toEqual({ refuses: 'TENANT_NOT_FOUND' })
          else expect(found).toEqual(isIn ? { serves: into } : { refuses: 'INVALID_CREDENTIALS' })
        },
      ),
      { numRuns: 60 },
    )
  })

  test('and none of these requests wrote into another tenant', async () => {
    expect(await cast.placesOfAll()).toEqual(cast.tenants.map(({ code }) => [code]))
  })
})

/** Everything at once. Most values are valid, so that unusual ones meet requests that would be accepted without them. */
function arbitraryAsking({ shown, tenants }: Cast) {
  const tenant = fc.constantFrom(...tenants)
  const plain = fc.oneof(
    { weight: 4, arbitrary: tenant.map(({ code }) => code) },
    { weight: 2, arbitrary: tenant.map(({ id }) => id) },
    {
      weight: 1,
      arbitrary: fc.constantFrom('no-such-tenant', '', '01900000-0000-7000-8000-0000000000ff', '*', '..'),
    },
  )
  const names = fc.oneof(
    { weight: 3, arbitrary: fc.constant<string[]>([]) },
    { weight: 6, arbitrary: dressed(plain).map((name) => [name]) },
    { weight: 1, arbitrary: fc.tuple(plain, plain) },
  )
  const credential = fc.constantFrom(...shown.map(([, header]) => header))
  const credentials = fc.oneof(
    { weight: 12, arbitrary: credential.map((one) => [one]) },
    { weight: 1, arbitrary: fc.tuple(credential, credential) },
    { weight: 1, arbitrary: fc.constant<Header[]>([]) },
  )
  const elsewhere = fc.oneof(
    { weight: 4, arbitrary: fc.constant(null) },
    { weight: 1, arbitrary: fc.constantFrom('body', 'query') },
  )
  const field = fc.constantFrom('tenantId', 'tenant_id', 'tenantCode', 'accountId')
  const decoys = fc.subarray<Header>([
    ['X_Tenant_Code', tenants[0]?.code ?? ''],
    ['X-Tenant-Id', tenants[0]?.id ?? ''],
    ['X-Forwarded-Host', `${tenants[0]?.code}.example.com`],
    ['Cookie', `tenantCode=${tenants[0]?.code}`],
  ])
  const shuffled = (headers: Header[]) =>
    fc.shuffledSubarray(headers, { minLength: headers.length, maxLength: headers.length })
  return fc
    .record({ credentials, code: names, actFor: names, elsewhere, field, plain, decoys })
    .chain(({ credentials: given, code, actFor, decoys: more, ...rest }) => {
      const headers = shuffled([...headersOf(given, { code, actFor }), ...more])
      return headers.map((ordered) => askingOf(ordered, rest))
    })
}

function askingOf(
  headers: readonly Header[],
  { elsewhere, field, plain }: { elsewhere: string | null; field: string; plain: string },
) {
  const namesTenantElsewhere = elsewhere !== null
  const body = { name: 'never written', [field]: plain }
  const query = `?${field}=${encodeURIComponent(plain)}`
  const asking: Asking = {
    headers,
    path: '/places',
    ...(elsewhere === 'body' && { body }),
    ...(elsewhere === 'query' && { query }),
  }
  return { asking, namesTenantElsewhere }
}

/** Spellings that a careless comparison would treat as the same. */
function dressed(plain: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const dresses: readonly ((name: string, other: string) => string)[] = [
    (name) => name,
    (name) => name.toUpperCase(),
    (name) => ` \t${name} `,
    (name) => `${name.slice(0, 2)} ${name.slice(2)}`,
    (name) => name.replaceAll('-', '%2D'),
    (name) => [...name].map((c) => `%${c.charCodeAt(0).toString(16)}`).join(''),
    (name, other) => `${name}, ${other}`,
    (name, other) => `${name},${other}`,
    (name) => `"${name}"`,
    (name) => `${name}\u00a0`,
    (name) => `${name}\u00ad`,
    (name) => `${name}.`,
    (name) => `urn:uuid:${name}`,
    (name) => `{${name}}`,
    (name) => name.replaceAll('-', ''),
  ]
  const dress = fc.oneof({ weight: 8, arbitrary: fc.constant(dresses[0]) }, fc.constantFrom(...dresses))
  return fc.tuple(plain, plain, dress).map(([name, other, wear]) => wear?.(name, other) ?? name)
}

/** Failures name callers, not their credentials. */
function named(headers: readonly Header[]): string[] {
  const nameOf = new Map(cast.shown.map(([name, [, value]]) => [value, name]))
  return headers.map(([name, value]) => `${name}: ${nameOf.get(value) ?? value}`)
}

function same(a: Verdict, b: Verdict): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

async function inParallel<T>(width: number, items: readonly T[], work: (item: T) => Promise<void>) {
  const queue = items.values()
  const worker = async () => {
    for (const item of queue) await work(item)
  }
  await Promise.all(Array.from({ length: width }, worker))
}
