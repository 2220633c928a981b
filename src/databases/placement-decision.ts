import type { Stamp } from './checks.ts'

/** What a database has of a tenant. Rows are those of the tenant's business: people and their roles are none. */
export interface TenantPresence {
  readonly stamp: Stamp | null
  readonly ownsRows: boolean
}

/** A tenant, as the catalog has it and as its databases have it. */
export interface PlacementFacts {
  /** The catalog's. */
  readonly epoch: number
  /** The database that was validated. */
  readonly database: TenantPresence
  /** Where the catalog says that the tenant lives, if that is not the database itself. */
  readonly home: TenantPresence | 'itself' | 'unreachable'
  /** The shared database, where the catalog says that the tenant lives in one of its own; else null. */
  readonly shared: TenantPresence | null
  /** An operator has decided for the database that was validated. */
  readonly adopt: boolean
}

/**
 * stay: it is the home. take: it becomes the home as it is, at an epoch above all. relocate: the tenant may move in, with its
 * people, if it owns nothing else. wait: nothing can be said before the home answers. copy: the home serves, and this is its
 * copy. return: the tenant has come back to the shared database. stranger: it is not the home, and the tenant was never there.
 */
export type PlacementDecision =
  | 'stay'
  | 'take'
  | 'relocate'
  | 'wait'
  | 'copy'
  | 'return'
  | 'stranger'
  | 'ambiguous'

/**
 * Decides what a valid database is to its tenant. The catalog may have been restored from a backup, and so may any of the
 * databases: an open stamp with a newer epoch proves that the tenant has lived there since, and a home without a stamp that it
 * has left. Whatever else contradicts itself is for an operator to decide, and never against a home that has rows.
 *
 * The table of the cases: docs/decisions, "A restored catalog is corrected by the stamps".
 */
export function decidePlacement(found: PlacementFacts): PlacementDecision {
  const decision = decideByStamps(found)
  return decision === 'take' && found.shared?.ownsRows === true ? 'ambiguous' : decision
}

function decideByStamps(found: PlacementFacts): PlacementDecision {
  const { home, database } = found
  if (home === 'itself') return decideItself(found)
  if (database.stamp === null) return decideEmpty(found, home)
  return home === 'unreachable'
    ? decideAlone(found, database.stamp)
    : decideBeside(found, { stamp: database.stamp, home })
}

function decideItself(found: PlacementFacts): PlacementDecision {
  const { epoch, database } = found
  const { stamp, ownsRows } = database
  if (stamp === null) {
    if (!hasReturned(found)) return 'stranger'
    return ownsRows ? 'ambiguous' : 'return'
  }
  if (stamp.epoch === epoch) return unlessInShared(found, 'stay')
  return stamp.epoch > epoch && !isStamped(found.shared) ? 'take' : chosen(found)
}

/** Nothing of the tenant is in it. */
function decideEmpty(found: PlacementFacts, home: TenantPresence | 'unreachable'): PlacementDecision {
  if (home === 'unreachable') return 'wait'
  if (home.stamp?.epoch === found.epoch) return isNewerInShared(found) ? 'ambiguous' : 'relocate'
  return home.stamp === null && !home.ownsRows && hasReturned(found) ? 'return' : 'ambiguous'
}

/** The home cannot be asked. */
function decideAlone(found: PlacementFacts, stamp: Stamp): PlacementDecision {
  const isCopy = stamp.epoch === found.epoch
  // What moves in has no rows: this was about to be taken, and has the new stamp already.
  const wasBeingTaken = isUnfinished(stamp, found.epoch) && found.database.ownsRows
  return isCopy || wasBeingTaken ? unlessInShared(found, 'take') : chosen(found)
}

function decideBeside(
  found: PlacementFacts,
  { stamp, home }: { stamp: Stamp; home: TenantPresence },
): PlacementDecision {
  const { epoch, database, shared } = found
  if (home.stamp === null && !home.ownsRows) {
    // A database of its own that has the catalog's epoch is a copy of a home that is empty now.
    const isNewer = shared === null ? stamp.epoch > epoch : stamp.epoch >= epoch
    return isNewer && !isNewerInShared(found) ? 'take' : chosen(found)
  }
  if (home.stamp?.epoch !== epoch) return chosen(found)
  // A fence is left behind where the tenant has moved away, or was about to move in.
  const isLeftBehind = stamp.state === 'fenced' && stamp.epoch <= epoch + 1 && !database.ownsRows
  if (isLeftBehind) return unlessInShared(found, 'relocate')
  if (stamp.epoch === epoch && shared !== null) {
    const choice = chosen(found)
    return choice === 'ambiguous' ? 'copy' : choice
  }
  return chosen(found)
}

/** The operator's choice, which is never one over rows. */
function chosen({ adopt, home, shared }: PlacementFacts): PlacementDecision {
  const others = [home, shared].filter((other) => typeof other === 'object' && other !== null)
  return adopt && !others.some(({ ownsRows }) => ownsRows) ? 'take' : 'ambiguous'
}

function unlessInShared(found: PlacementFacts, decision: PlacementDecision): PlacementDecision {
  return isNewerInShared(found) ? chosen(found) : decision
}

/** A move to the shared database that was never committed leaves a fenced stamp of the next epoch, without rows. */
function isNewerInShared({ shared, epoch }: PlacementFacts): boolean {
  if (shared === null || shared.stamp === null || shared.stamp.epoch <= epoch) return false
  return !isUnfinished(shared.stamp, epoch) || shared.ownsRows
}

function hasReturned({ shared, epoch }: PlacementFacts): boolean {
  return (
    shared !== null && shared.stamp !== null && shared.stamp.state === 'open' && shared.stamp.epoch > epoch
  )
}

function isStamped(shared: TenantPresence | null): boolean {
  return shared !== null && shared.stamp !== null
}

function isUnfinished({ state, epoch }: Stamp, ofCatalog: number): boolean {
  return state === 'fenced' && epoch === ofCatalog + 1
}
