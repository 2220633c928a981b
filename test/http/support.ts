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

/** An id that no row has. */
export const UNKNOWN_ID = '01900000-0000-7000-8000-0000000000ff'

/** A replica learns of a change by a notification. Without one it would take up to two seconds. */
export const NOTIFIED = { timeout: 1_000 }

/** A gateway with a tenant of each placement, and another tenant in the shared database. */
export interface Fixture {
  readonly stage: Stage
  readonly gateway: TestGateway
  readonly shared: TestTenant
  readonly dedicated: TestTenant
  readonly other: TestTenant
  /** The shared database holds the rows of `shared` and `other`; the dedicated one those of `dedicated`. */
  readonly urls: { readonly shared: string; readonly dedicated: string }
}

export async function openFixture(
  more: Record<string, string> = {},
  options: { realPasswords?: boolean } = {},
): Promise<Fixture> {
  const stage = await createStage(options)
  const gateway = await startGateway(stage, more)
  const [shared, dedicated, other] = await Promise.all([
    gateway.createTenant(),
    gateway.createTenant(),
    gateway.createTenant(),
  ])
  const dedicatedUrl = await moveToOwnDatabase(gateway, dedicated.id)
  const urls = { shared: stage.sharedUrl, dedicated: dedicatedUrl }
  return { stage, gateway, shared, dedicated, other, urls }
}

/** Gives a tenant a new dedicated database and waits until it lives there. */
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

/** The fields of every error, and the expected one. */
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

/** An answer without the parts that differ in every request. The rest must reveal nothing. */
export function telling({ status, headers, text, body }: Answer): unknown {
  const ids = [body?.requestId, body?.instance].filter((id): id is string => typeof id === 'string')
  const scrub = (said: string) => ids.reduce((left, id) => left.replaceAll(id, '…'), said)
  const counts = ['ratelimit-remaining', 'ratelimit-reset']
  const passing = ['date', 'x-request-id', 'connection', 'keep-alive', ...counts]
  const shown = [...headers].filter(([name]) => !passing.includes(name))
  return { status, headers: shown, text: scrub(text) }
}

/** Sends bytes unchanged, because no client library would send them. */
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
