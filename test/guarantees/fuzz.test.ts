import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startProcess } from '../faults/support.ts'
import { openFixture } from '../http/support.ts'
import { dropAll } from '../support/database.ts'
import type { Caller } from '../support/gateway.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'
import { arbitraryRequest, type FuzzDocument, type FuzzRequest, ROW } from './arbitrary-request.ts'
import { furnish } from './furnish.ts'
import type { ApiDocument, Rows } from './prover.ts'

/** `npm run test:long` sends ten times as many. */
const REQUESTS = Number(process.env.FUZZ_REQUESTS ?? 2_000)
/** The same seed gives the same requests in the same order. */
const SEED = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 31)
/** No request is answered while new requests are created. */
const BATCH = 50
const AT_ONCE = 6
const MS_PER_REQUEST = 60

/** In a process of its own, which a fault would end, and which answers while requests are created. */
let target: { readonly process: GatewayProcess; readonly caller: Caller }
let document: FuzzDocument & ApiDocument
let callers: Record<'shared' | 'dedicated' | 'operator' | 'anonymous', Sender>

/** The senders, and the rows that each may name. */
interface Sender {
  readonly headers: Record<string, string>
  readonly rows: Map<string, string[]>
}

beforeAll(async () => {
  const { gateway, shared, dedicated, other, stage } = await openFixture()
  document = (await gateway.call('GET', '/openapi.json')).body
  const sender = (token: string, rows: Rows): Sender => ({
    headers: { authorization: `Bearer ${token}` },
    rows: new Map([...rows].map(([collection, ids]) => [collection, [...ids]])),
  })
  callers = {
    shared: sender(shared.token, await furnish(gateway, document, shared)),
    dedicated: sender(dedicated.token, await furnish(gateway, document, dedicated)),
    // Operators suspend tenants, for instance. They must not name the tenants whose requests should be answered.
    operator: sender(stage.operatorToken, new Map([['tenants', [other.id]]])),
    anonymous: { headers: {}, rows: new Map() },
  }
  await gateway.close()
  target = await startProcess(stage)
})
afterAll(async () => {
  await target?.process.end('SIGKILL')
  await dropAll()
})

/** Usually a caller that the operation accepts. */
function senderOf({ operation }: FuzzRequest, index: number): Sender {
  const { shared, dedicated, operator, anonymous } = callers
  const tenant = index % 2 === 0 ? shared : dedicated
  // An operation that names no credential takes that of a tenant.
  const isTenants = operation.security?.some((scheme) => 'tenantToken' in scheme) ?? true
  if (index % 12 === 11) return anonymous
  if (index % 12 === 10) return isTenants ? operator : tenant
  return isTenants ? tenant : operator
}

interface Outcome {
  readonly status: number
  readonly fault: string | null
}

async function outcomeOf(request: FuzzRequest, index: number): Promise<Outcome> {
  const sender = senderOf(request, index)
  const fill = (text: string) =>
    text.replace(ROW, (_, collection: string, n: string) => {
      const ids = sender.rows.get(collection) ?? []
      return ids[Number(n) % ids.length] ?? randomUUID()
    })
  const url = fill(request.url)
  const { method, template } = request
  const response = await fetch(`${target.caller.url}${url}`, {
    method,
    headers: { ...request.headers, ...sender.headers },
    body: request.body === undefined ? null : fill(request.body),
    redirect: 'manual',
  })
  const text = await response.text()
  const { status } = response
  if (status === 201) remember(sender, template, text)
  const fault = faultOf(request, { status, text, url })
  const shown = { method, url, headers: request.headers, body: request.body, text }
  return { status, fault: fault && `${fault}: ${JSON.stringify(shown).slice(0, 1_500)}` }
}

function remember({ rows }: Sender, template: string, text: string): void {
  const collection = template.split('/').at(-1) ?? ''
  const { id } = JSON.parse(text) as { id?: string }
  if (id !== undefined) rows.set(collection, [...(rows.get(collection) ?? []), id])
}

/** What is wrong with the answer. Null if nothing is. */
function faultOf(
  { operation, template }: FuzzRequest,
  { status, text, url }: { status: number; text: string; url: string },
): string | null {
  if (status >= 500) return `${status}`
  // If a hostile id changes the path, the request belongs to another operation.
  if (!isOf(template, url)) return null
  const answer = operation.responses[String(status)]
  if (answer === undefined) return `${status} is not in the document`
  const [, code] = /^\{"type":"urn:freehold.*"code":"([A-Z_]+)"/.exec(text) ?? []
  const isTold = code === undefined || codesOf(answer).includes(code)
  return isTold ? null : `${code} is not in the document`
}

/** The codes that the document allows for an answer. */
function codesOf({ $ref = '' }: { readonly $ref?: string }): readonly string[] {
  const named = document.components.responses[$ref.split('/').at(-1) ?? '']
  const { allOf = [] } = (named?.content?.['application/problem+json']?.schema ?? {}) as ProblemOf
  return allOf.flatMap(({ properties }) => properties?.code?.enum ?? [])
}

interface ProblemOf {
  readonly allOf?: readonly { readonly properties?: { readonly code?: { readonly enum: string[] } } }[]
}

function isOf(template: string, url: string): boolean {
  return new RegExp(`^${template.replace(/\{\w+\}/g, '[0-9a-f-]{36}')}(?:\\?|$)`).test(url)
}

test(
  `${REQUESTS} requests made up from the document are answered as it says, and none with 5xx (FUZZ_SEED=${SEED})`,
  async () => {
    const requests = arbitraryRequest(document)
    const outcomes: Outcome[] = []
    for (let start = 0; start < REQUESTS; start += BATCH) {
      const batch = fc.sample(requests, { numRuns: Math.min(BATCH, REQUESTS - start), seed: SEED + start })
      const queue = batch.entries()
      const work = async () => {
        for (const [index, request] of queue) outcomes.push(await outcomeOf(request, start + index))
      }
      await Promise.all(Array.from({ length: AT_ONCE }, work))
    }
    expect(outcomes.flatMap(({ fault }) => fault ?? []).slice(0, 10)).toEqual([])
    // If every request is refused before its handler, no handler is tested.
    const good = outcomes.filter(({ status }) => status < 300).length
    expect(good / REQUESTS).toBeGreaterThan(0.2)
    expect((await target.caller.call('GET', '/readyz')).status).toBe(200)
    expect(await target.process.end()).toBe(0)
  },
  60_000 + REQUESTS * MS_PER_REQUEST,
)
