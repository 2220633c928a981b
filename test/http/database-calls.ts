import { expect } from 'vitest'
import { createDatabase, createRole, urlFor } from '../support/database.ts'
import type { TestGateway, TestTenant } from '../support/gateway.ts'
import { API } from './support.ts'

/** A name that never resolves (RFC 2606). */
export const NOWHERE = 'postgresql://someone:secret-of-nowhere@db.invalid:6543/data'

/** Requests of an operator about the database of a tenant, and what the tenant sees of it. `at` is called for each request. */
export function databaseCalls(at: () => TestGateway) {
  const path = (tenantId: string) => `/tenants/${tenantId}/database`
  return {
    put: (tenantId: string, body: unknown) => at().operator('PUT', path(tenantId), body),
    get: (tenantId: string) => at().operator('GET', path(tenantId)),
    validate: (tenantId: string) => at().operator('POST', `${path(tenantId)}/validate`),
    adopt: (tenantId: string) => at().operator('POST', `${path(tenantId)}/validate`, { adopt: true }),
    remove: (tenantId: string) => at().operator('DELETE', path(tenantId)),
    giveUp: (tenantId: string, query: string) => at().operator('DELETE', `${path(tenantId)}?${query}`),
    tenantOf: async (tenantId: string) => (await at().operator('GET', `/tenants/${tenantId}`)).body,
    places: ({ token }: TestTenant) => at().call('GET', `${API}/places`, { token }),
    addPlace: async ({ token }: TestTenant) => {
      const answer = await at().call('POST', `${API}/places`, { token, body: { name: 'Kept' } })
      expect(answer.status, answer.text).toBe(201)
    },
  }
}

/** An empty database of an ordinary role. */
export async function freshUrl(): Promise<string> {
  const role = await createRole()
  return urlFor({ role, database: await createDatabase({ owner: role.name }) })
}

/** What an entry for NOWHERE shows before any validation. */
export const untried = (tenantId: string) => ({
  ...{ tenantId, databaseType: 'postgres', host: 'db.invalid', port: 6543, database: 'data' },
  ...{ user: 'someone', sslMode: 'verify-full' },
  ...{ poolSize: 10, idleTimeoutSeconds: 30, connectionTimeoutSeconds: 5 },
  ...{ status: 'pending_validation', placement: 'shared', moveRequired: false, lastError: null },
  ...{ consecutiveFailures: 0, lastCheckedAt: null, validatedAt: null },
  ...{ schemaVersion: null, serverVersion: null, encryptionKeyId: expect.any(String) },
})
