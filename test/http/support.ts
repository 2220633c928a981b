import { once } from 'node:events'
import { connect } from 'node:net'
import { expect } from 'vitest'
import {
  type Answer,
  createStage,
  type Stage,
  startGateway,
  type TestGateway,
  type TestTenant,
} from '../support/gateway.ts'
import { createTenantDatabase } from '../support/tenant-database.ts'

export const API = '/api/v1'

/** An id that nothing has. */
export const UNKNOWN_ID = '01900000-0000-7000-8000-0000000000ff'

/** A gateway with a tenant of each kind, and a stranger who is neighbour to the first. */
export interface Homes {
  readonly stage: Stage
  readonly gateway: TestGateway
  readonly shared: TestTenant
  readonly own: TestTenant
  readonly stranger: TestTenant
  /** Where the rows of `shared` and `stranger`, and those of `own`, are. */
  readonly urls: { readonly shared: string; readonly own: string }
}

export async function openHomes(
  more: Record<string, string> = {},
  options: { realPasswords?: boolean } = {},
): Promise<Homes> {
  const stage = await createStage(options)
  const gateway = await startGateway(stage, more)
  const [shared, own, stranger] = await Promise.all([
    gateway.createTenant(),
    gateway.createTenant(),
    gateway.createTenant(),
  ])
  const ownUrl = await moveToOwnDatabase(gateway, own.id)
  return { stage, gateway, shared, own, stranger, urls: { shared: stage.sharedUrl, own: ownUrl } }
}

/** Gives a tenant a new database of its own and waits until it lives there. */
export async function moveToOwnDatabase(gateway: TestGateway, tenantId: string): Promise<string> {
  const { url } = await createTenantDatabase(gateway.application)
  const { status, placement, lastError } = await gateway.registerDatabase(tenantId, url)
  expect({ status, placement, lastError }).toEqual({
    status: 'active',
    placement: 'dedicated',
    lastError: null,
  })
  return url
}

interface Problem {
  readonly status: number
  readonly code: string
  readonly pointers?: readonly string[]
  readonly required?: string
}

/** What every error looks like, and which one this is. */
export function expectProblem(answer: Answer, { status, code, pointers, required }: Problem): void {
  const { body, headers } = answer
  expect([answer.status, body.code], answer.text).toEqual([status, code])
  expect(headers.get('content-type')).toMatch(/^application\/problem\+json\b/)
  expect(body).toMatchObject({
    status,
    type: expect.any(String),
    title: expect.any(String),
    detail: expect.any(String),
    instance: expect.stringMatching(/^\//),
    requestId: headers.get('x-request-id'),
  })
  expect(body.required).toBe(required)
  if (pointers !== undefined) {
    const errors = body.errors as { pointer: string }[]
    expect(errors.map(({ pointer }) => pointer)).toEqual(pointers)
  }
}

/** An answer without what differs from request to request: what is left tells callers something. */
export function telling({ status, headers, text, body }: Answer): unknown {
  const ids = [body?.requestId, body?.instance].filter((id): id is string => typeof id === 'string')
  const scrub = (said: string) => ids.reduce((left, id) => left.replaceAll(id, '…'), said)
  const counts = ['ratelimit-remaining', 'ratelimit-reset']
  const passing = ['date', 'x-request-id', 'connection', 'keep-alive', ...counts]
  const shown = [...headers].filter(([name]) => !passing.includes(name))
  return { status, headers: shown, text: scrub(text) }
}

/** Sends bytes as they are, for what no client library would send. */
export async function rawRequest(
  url: string,
  head: readonly string[],
  body = '',
): Promise<{ status: number; code: string | undefined; text: string }> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  await once(socket, 'connect')
  socket.write(`${[...head, `Host: ${hostname}`, 'Connection: close'].join('\r\n')}\r\n\r\n${body}`)
  let text = ''
  for await (const chunk of socket) text += chunk
  const [, status = '0'] = /^HTTP\/1.1 (\d{3})/.exec(text) ?? []
  const [, code] = /"code":"([A-Z_]+)"/.exec(text) ?? []
  return { status: Number(status), code, text }
}
