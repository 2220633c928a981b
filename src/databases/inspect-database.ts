import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import { type DatabaseEntry, type DatabaseErrorCode, identityOf } from '../catalog/databases/entry.ts'
import type { Tenant } from '../catalog/tenants.ts'
import { isExpected, isSameDatabase, readIdentity } from '../lib/postgres/database-identity.ts'
import { NoAdmissionError } from '../pools/admin-connection.ts'
import { classify, UNREACHABLE_CODES } from './failures.ts'
import type { TenantPresence } from './placement-decision.ts'
import { readPresence } from './residence.ts'
import { type TenantConnectionDeps, withTenantDatabase } from './tenant-connection.ts'

/** The findings in the tenant database, as the catalog names it. */
export interface InspectedDatabase {
  /** `same-database`: the tenant database is the candidate itself, registered under another name. */
  readonly presence: TenantPresence | 'same-database' | 'unreachable'
  /** Null if the tenant database cannot be reached. */
  readonly client: pg.ClientBase | null
}

export interface Inspection {
  /** The connection to the candidate that is being validated. */
  readonly candidate: pg.ClientBase
  readonly tenant: Tenant
  /** The tenant's dedicated database; null for a tenant in the shared one. */
  readonly current: DatabaseEntry | null
}

const INSPECTION_TIMEOUT_MS = 3_000
const RETRY_AFTER_MS = 500
const UNREACHABLE: InspectedDatabase = { presence: 'unreachable', client: null }

/**
 * Inspects the tenant's current database, and calls `fn` with the findings while the connection to it is open. An active database is
 * tried twice, because one lost packet does not prove that a server is gone. In doubt the database counts as one that serves and has
 * rows.
 * @throws NoAdmissionError; errors of the connection to the shared database and of `fn`
 */
export async function withInspectedDatabase<T>(
  deps: TenantConnectionDeps,
  inspection: Inspection,
  fn: (found: InspectedDatabase) => Promise<T>,
): Promise<T> {
  const { candidate, current, tenant } = inspection
  if (current === null) {
    return withTenantDatabase(deps, null, async (client) =>
      fn({ presence: await readPresence(client, tenant.id), client }),
    )
  }
  for (let isFirst = true; ; isFirst = false) {
    const found = await inspectOnce(deps, { ...inspection, current }, fn)
    if ('result' in found) return found.result
    if (current.status !== 'active') return fn(UNREACHABLE)
    // The egress policy has changed, so no gateway connects there. If the candidate is the same database, no row is lost.
    if (found.code === 'HOST_NOT_ALLOWED' && (await hasIdentityOf(candidate, current))) return fn(UNREACHABLE)
    if (!UNREACHABLE_CODES.has(found.code)) return fn(presumedServing(tenant))
    if (!isFirst) return fn(UNREACHABLE)
    await delay(RETRY_AFTER_MS)
  }
}

/** Gives the result of `fn`, or the code of the error that prevented the inspection. */
async function inspectOnce<T>(
  deps: TenantConnectionDeps,
  { candidate, tenant, current }: Inspection & { readonly current: DatabaseEntry },
  fn: (found: InspectedDatabase) => Promise<T>,
): Promise<{ result: T } | { code: DatabaseErrorCode }> {
  let isInspected = false
  try {
    const work = async (client: pg.ClientBase) => {
      const isSame = await isProvenSame(candidate, client)
      const presence = isSame ? ('same-database' as const) : await readPresence(client, tenant.id)
      isInspected = true
      return { result: await fn({ presence, client }) }
    }
    return await withTenantDatabase({ ...deps, timeoutMs: INSPECTION_TIMEOUT_MS }, current, work)
  } catch (error) {
    if (isInspected || error instanceof NoAdmissionError) throw error
    return { code: classify(error) }
  }
}

async function hasIdentityOf(client: pg.ClientBase, entry: DatabaseEntry): Promise<boolean> {
  const known = identityOf(entry)
  return known !== null && isExpected(await readIdentity(client), known)
}

function presumedServing({ epoch }: Tenant): InspectedDatabase {
  return { presence: { stamp: { epoch, state: 'open' }, ownsRows: true }, client: null }
}

/**
 * Whether both connections lead to one database. A clone of a whole server has the identity of the original, but not its locks.
 * @throws errors of the connections
 */
async function isProvenSame(candidate: pg.ClientBase, current: pg.ClientBase): Promise<boolean> {
  let failure: { readonly error: unknown } | null = null
  const isSame = await isSameDatabase(candidate, async (fn) => {
    try {
      return await fn(current)
    } catch (error) {
      failure = { error }
      throw error
    }
  })
  // isSameDatabase answers true if it cannot prove the opposite. Here that must not count as an answer.
  if (failure !== null) throw (failure as { readonly error: unknown }).error
  return isSame
}
