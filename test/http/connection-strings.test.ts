import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ConnectionStringError, parseConnectionString } from '../../src/lib/postgres/connection-string.ts'
import { dropAll } from '../support/database.ts'
import { createStage, type Stage, startGateway, type TestGateway } from '../support/gateway.ts'
import { databaseCalls } from './database-calls.ts'
import { expectProblem } from './support.ts'

const PAGE = resolve(import.meta.dirname, '../../docs/reference/connection-strings.md')
/** `| where it comes from | `string` | 202, or 400 and a word of the message | remark |` */
const ROW = /^\| (?<source>[^|]+?) +\| `(?<text>[^|]+)` +\| (?<status>202|400)(?: `(?<word>[^`]+)`)? +\|/
const INVALID = { status: 400, code: 'VALIDATION_FAILED' }

interface Form {
  readonly source: string
  readonly text: string
  readonly status: string
  readonly word?: string
}

const FORMS = readFileSync(PAGE, 'utf8')
  .split('\n')
  .flatMap((line) => (ROW.exec(line)?.groups as Form | undefined) ?? [])
/** An allowed address where no server listens. Each form is checked before a connection is tried. */
const here = (text: string) => text.replace(/@[a-z0-9.-]+(?::\d+)?\/(?=[a-z])/i, '@127.0.0.1:1/')

let stage: Stage
let gateway: TestGateway
let tenantId: string
beforeAll(async () => {
  stage = await createStage()
  gateway = await startGateway(stage, { HEALTH_FAILURES_TO_INACTIVE: '1000' })
  tenantId = (await gateway.createTenant()).id
})
afterAll(async () => {
  await gateway?.close()
  await dropAll()
})
const { put } = databaseCalls(() => gateway)

test('the page has the accepted and the refused forms of every provider', () => {
  expect(FORMS.length).toBeGreaterThanOrEqual(28)
  for (const name of ['Neon', 'Supabase', 'RDS', 'Azure', 'Heroku', 'Prisma', 'JDBC', 'libpq'])
    expect(FORMS.some(({ source }) => source.includes(name))).toBe(true)
  expect(FORMS.filter(({ status }) => status === '202').length).toBeGreaterThan(10)
})

describe.each(FORMS)('$source: $status $word', ({ text, status, word }) => {
  test('when it is read', () => {
    if (status === '202') return expect(parseConnectionString(text).user).toMatch(/^(?:postgres|app|u)/)
    const refused = expect(() => parseConnectionString(text))
    refused.toThrow(ConnectionStringError)
    refused.toThrow(word)
  })

  test('when it is registered', async () => {
    const answer = await put(tenantId, { connectionString: here(text) })
    // No answer contains a part of a password.
    expect(answer.text).not.toMatch(/pa55|npg_|YOUR-PASSWORD|p0123|\*\*/)
    if (status === '202') return expect(answer, answer.text).toMatchObject({ status: 202 })
    expectProblem(answer, INVALID)
    expect(answer.body.errors).toEqual([
      { pointer: '/connectionString', message: expect.stringContaining(word ?? 'a word that is missing') },
    ])
  })
})

describe('an accepted connection string', () => {
  const BARE = 'postgresql://app:pa55@127.0.0.1:1/app'

  test('may end with a line break that was copied with it', async () => {
    const { status, body } = await put(tenantId, { connectionString: ` ${BARE}\n` })
    expect([status, body.host, body.database]).toEqual([202, '127.0.0.1', 'app'])
  })

  test.each([
    [`${BARE}?connect_timeout=10`, {}, 10],
    [`${BARE}?connect_timeout=10`, { connectionTimeoutSeconds: 3 }, 3],
    [BARE, { connectionTimeoutSeconds: 3 }, 3],
    [BARE, {}, 5],
  ])('%s with %j has a connect timeout in seconds of %i', async (connectionString, more, seconds) => {
    const { body } = await put(tenantId, { connectionString, ...more })
    expect(body.connectionTimeoutSeconds).toBe(seconds)
  })

  test('is refused if it needs TLS and the default has none', async () => {
    for (const parameter of ['channel_binding=require', 'sslnegotiation=direct']) {
      const answer = await put(tenantId, { connectionString: `${BARE}?${parameter}` })
      expectProblem(answer, INVALID)
      expect(answer.body.errors[0].message).toContain(parameter)
      const withTls = await put(tenantId, { connectionString: `${BARE}?${parameter}&sslmode=require` })
      expect(withTls.status).toBe(202)
    }
  })
})
