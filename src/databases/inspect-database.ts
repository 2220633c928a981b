import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import { type DatabaseEntry, type DatabaseErrorCode, identityOf } from '../catalog/databases/entry.ts'
import type { Tenant } from '../catalog/tenants.ts'
import { isExpected, isSameDatabase, readIdentity } from '../lib/postgres/database-identity.ts'
import { NoAdmissionError } from '../pools/admin-connection.ts'
import { classify } from './failures.ts'
import type { TenantPresence } from './placement-decision.ts'
import { ownsRows, readStamp } from './residence.ts'
import { type TenantConnectionDeps, withTenantDatabase } from './tenant-connection.ts'

/** What stands where the catalog says that the tenant lives. */
export interface InspectedDatabase {
  /** `itself`: it is the database that asks, under another name. */
  readonly standing: TenantPresence | 'itself' | 'unreachable'
  /** Null where it could not be asked. */
  readonly client: pg.ClientBase | null
}

export interface Asking {
  /** The connection of the database that asks. */
  readonly client: pg.ClientBase
  readonly tenant: Tenant
  /** The tenant's own database; null: it lives in the shared one. */
  readonly current: DatabaseEntry | null
}

const ASK_TIMEOUT_MS = 3_000
const ASK_AGAIN_AFTER_MS = 500
/** A server that refuses the password, or has no connection left, is there: what it holds may still grow. */
export const UNREACHABLE_CODES: ReadonlySet<DatabaseErrorCode> = new Set([
  'DNS_FAILED',
  'CONNECTION_REFUSED',
  'CONNECTION_TIMEOUT',
  'DATABASE_DOES_NOT_EXIST',
  'IDENTITY_MISMATCH',
])
const UNREACHABLE: InspectedDatabase = { standing: 'unreachable', client: null }

/**
 * Looks at the tenant's home, and calls `fn` with what was found while the connection to it lasts. One that was active is asked
 * twice: a lost packet must not be taken for the end of a server. In doubt it serves, and has rows.
 * @throws NoAdmissionError; what the connection to the shared database throws; what `fn` throws
 */
export async function withInspectedDatabase<T>(
  deps: TenantConnectionDeps,
  asking: Asking,
  fn: (home: InspectedDatabase) => Promise<T>,
): Promise<T> {
  const { current } = asking
  if (current === null) {
    return withTenantDatabase(deps, null, async (client) =>
      fn({ standing: await lookAt(client, asking), client }),
    )
  }
  for (let isFirst = true; ; isFirst = false) {
    const found = await tryHome(deps, { asking, current }, fn)
    if ('result' in found) return found.result
    if (current.status !== 'active') return fn(UNREACHABLE)
    // Where the policy has changed since, no gateway goes there any more; if it is this very database, nothing is lost by it.
    if (found.code === 'HOST_NOT_ALLOWED' && (await hasIdentityOf(asking.client, current)))
      return fn(UNREACHABLE)
    if (!UNREACHABLE_CODES.has(found.code)) return fn(serves(asking.tenant))
    if (!isFirst) return fn(UNREACHABLE)
    await delay(ASK_AGAIN_AFTER_MS)
  }
}

/** Gives what `fn` gives, or why the home could not be looked at. */
async function tryHome<T>(
  deps: TenantConnectionDeps,
  { asking, current }: { asking: Asking; current: DatabaseEntry },
  fn: (home: InspectedDatabase) => Promise<T>,
): Promise<{ result: T } | { code: DatabaseErrorCode }> {
  let isLookedAt = false
  try {
    const work = async (client: pg.ClientBase) => {
      const isSame = await isItself(asking.client, client)
      const standing = isSame ? ('itself' as const) : await lookAt(client, asking)
      isLookedAt = true
      return { result: await fn({ standing, client }) }
    }
    return await withTenantDatabase(deps, current, work, ASK_TIMEOUT_MS)
  } catch (error) {
    if (isLookedAt || error instanceof NoAdmissionError) throw error
    return { code: classify(error) }
  }
}

async function hasIdentityOf(client: pg.ClientBase, entry: DatabaseEntry): Promise<boolean> {
  const known = identityOf(entry)
  return known !== null && isExpected(await readIdentity(client), known)
}

async function lookAt(client: pg.ClientBase, { tenant: { id } }: Asking): Promise<TenantPresence> {
  return { stamp: await readStamp(client, id), ownsRows: await ownsRows(client, id) }
}

function serves({ epoch }: Tenant): InspectedDatabase {
  return { standing: { stamp: { epoch, state: 'open' }, ownsRows: true }, client: null }
}

/** A clone of a whole server has the identity of the original; locks it does not share. @throws what the connections throw */
async function isItself(client: pg.ClientBase, home: pg.ClientBase): Promise<boolean> {
  let failure: { readonly error: unknown } | null = null
  const isSame = await isSameDatabase(client, async (fn) => {
    try {
      return await fn(home)
    } catch (error) {
      failure = { error }
      throw error
    }
  })
  // Where it cannot be proven they count as one, which is no answer here.
  if (failure !== null) throw (failure as { readonly error: unknown }).error
  return isSame
}
