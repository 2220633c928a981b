import { randomBytes } from 'node:crypto'
import { expect } from 'vitest'
import { query, superuserUrl } from '../support/database.ts'
import type { Caller, TestTenant } from '../support/gateway.ts'
import { API } from './support.ts'

export const PASSWORD = 'correct horse battery staple'

/** A user of a tenant, with the data for a login. */
export interface Person {
  readonly id: string
  readonly email: string
  readonly password: string
}

/** The tokens of one login. */
export interface Pair {
  readonly accessToken: string
  readonly refreshToken: string
}

let made = 0
/** A name that is unique in this test file. */
export const fresh = (label: string) => `${label}-${randomBytes(4).toString('hex')}${made++}`

/** Sends requests as a user, to the paths below the prefix. */
export function as(gateway: Caller, token: string) {
  return (method: string, path: string, body?: unknown) =>
    gateway.call(method, `${API}${path}`, { token, ...(body !== undefined && { body }) })
}

export async function addRole(gateway: Caller, { token }: TestTenant, permissions: readonly string[]) {
  const { status, body, text } = await as(gateway, token)('POST', '/roles', {
    name: fresh('role'),
    permissions,
  })
  expect(status, text).toBe(201)
  return body as { id: string; name: string }
}

/** Creates a user with a role that has exactly these permissions. */
export async function addPerson(
  gateway: Caller,
  { id: tenantId }: TestTenant,
  more: { roles?: readonly string[] } = {},
): Promise<Person> {
  const person = { email: `${fresh('p')}@people.example`, password: PASSWORD }
  const { status, body, text } = await gateway.operator('POST', `/tenants/${tenantId}/users`, {
    ...person,
    ...more,
  })
  expect(status, text).toBe(201)
  return { ...person, id: body.id }
}

export async function signIn(gateway: Caller, { code }: TestTenant, { email, password }: Omit<Person, 'id'>) {
  const body = { tenantCode: code, email, password }
  const answer = await gateway.call('POST', `${API}/auth/login`, { body })
  expect(answer.status, answer.text).toBe(200)
  return answer.body as Pair
}

/** As a superuser in the tenant database, without any protection of tenants. */
export function inDatabase(url: string, text: string, values: unknown[] = []) {
  return query(superuserUrl(new URL(url).pathname.slice(1)), text, values)
}
