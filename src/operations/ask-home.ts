import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import type { DatabaseEntry, DatabaseErrorCode } from '../catalog/database-entry.ts'
import type { Tenant } from '../catalog/tenants.ts'
import { classify } from '../health/failures.ts'
import { isSameDatabase } from '../lib/database-identity.ts'
import { NoAdmissionError } from '../pools/admin-connection.ts'
import { type HomeConnectionDeps, withHome } from './home-connection.ts'
import { readStamp } from './residence.ts'

/**
 * serves: the tenant's home, and another database than the one that was asked about.
 * same: the same database under another name.
 * gone: it cannot be reached, or the tenant does not live in it.
 */
export type HomeAnswer = 'serves' | 'same' | 'gone'

const ASK_TIMEOUT_MS = 3_000
const ASK_AGAIN_AFTER_MS = 500
/** A server that refuses the password, or has no connection left, is there: what it holds may still grow. */
const OUT_OF_REACH: ReadonlySet<DatabaseErrorCode> = new Set([
  'DNS_FAILED',
  'CONNECTION_REFUSED',
  'CONNECTION_TIMEOUT',
  'DATABASE_DOES_NOT_EXIST',
  'IDENTITY_MISMATCH',
])

/**
 * Asks the database where the tenant lives whether it still serves. One that was active is asked twice: a lost packet must
 * not be taken for the end of a server. In doubt it serves.
 * @throws NoAdmissionError
 */
export async function askCurrentHome(
  deps: HomeConnectionDeps,
  asked: { readonly client: pg.ClientBase; readonly current: DatabaseEntry; readonly tenant: Tenant },
): Promise<HomeAnswer> {
  const { current } = asked
  for (let isFirst = true; ; isFirst = false) {
    try {
      return await withHome(deps, current, (home) => compare(home, asked), ASK_TIMEOUT_MS)
    } catch (error) {
      if (error instanceof NoAdmissionError) throw error
      if (current.status !== 'active') return 'gone'
      if (!OUT_OF_REACH.has(classify(error))) return 'serves'
      if (!isFirst) return 'gone'
      await delay(ASK_AGAIN_AFTER_MS)
    }
  }
}

async function compare(
  home: pg.ClientBase,
  { client, tenant }: { readonly client: pg.ClientBase; readonly tenant: Tenant },
): Promise<HomeAnswer> {
  if (await isItself(client, home)) return 'same'
  const stamp = await readStamp(home, tenant.id)
  return stamp?.epoch === tenant.epoch ? 'serves' : 'gone'
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
