import type { Stamp } from './checks.ts'

/** What a database contains of a tenant. `ownsRows`: it has rows of the application; people and their roles do not count. */
export interface TenantPresence {
  readonly stamp: Stamp | null
  readonly ownsRows: boolean
}

/** What the catalog and the databases say about one tenant. */
export interface PlacementFacts {
  /** The tenant's epoch in the catalog. */
  readonly epoch: number
  /** The candidate: the database that was validated. */
  readonly candidate: TenantPresence
  /** The tenant database, as the catalog names it. */
  readonly current: TenantPresence | 'same-database' | 'unreachable'
  /** The shared database, if the catalog's placement is `dedicated`; else null. */
  readonly shared: TenantPresence | null
  /** An operator has chosen the candidate. */
  readonly adopt: boolean
}

/**
 * stay: the candidate already is the tenant database.
 * take-over: the candidate becomes the tenant database as it is, with an epoch higher than all others.
 * relocate: the tenant moves to the candidate with its people, if it owns nothing else.
 * wait: nothing can be decided before the current database answers.
 * copy: the current database serves, and the candidate is a copy of it.
 * return-to-shared: the tenant has returned to the shared database.
 * other-tenant: the candidate was never the tenant database of this tenant.
 * ambiguous: the facts contradict each other; an operator must decide.
 */
export type PlacementDecision =
  | 'stay'
  | 'take-over'
  | 'relocate'
  | 'wait'
  | 'copy'
  | 'return-to-shared'
  | 'other-tenant'
  | 'ambiguous'

/**
 * Decides about the placement of a valid database. The catalog or any of the databases may have been restored from a backup. An open
 * stamp with a newer epoch proves that the tenant was moved there later. A current database without a stamp proves that the tenant was
 * moved away. An operator decides every other contradiction; the operator's choice never discards rows.
 *
 * The table of the cases: docs/decisions/0034-corrected-by-the-stamps.md
 */
export function decidePlacement(facts: PlacementFacts): PlacementDecision {
  const decision = decideByStamps(facts)
  return decision === 'take-over' && facts.shared?.ownsRows === true ? 'ambiguous' : decision
}

function decideByStamps(facts: PlacementFacts): PlacementDecision {
  const { current, candidate } = facts
  if (current === 'same-database') return decideForSameDatabase(facts)
  if (candidate.stamp === null) return decideForEmptyCandidate(facts, current)
  return current === 'unreachable'
    ? decideWithoutCurrent(facts, candidate.stamp)
    : decideBetween(facts, { stamp: candidate.stamp, current })
}

function decideForSameDatabase(facts: PlacementFacts): PlacementDecision {
  const { epoch, candidate, shared } = facts
  const { stamp, ownsRows } = candidate
  if (stamp === null) {
    if (!isOpenInShared(facts)) return 'other-tenant'
    return ownsRows ? 'ambiguous' : 'return-to-shared'
  }
  if (stamp.epoch === epoch) return unlessNewerInShared(facts, 'stay')
  const hasSharedStamp = shared !== null && shared.stamp !== null
  return stamp.epoch > epoch && !hasSharedStamp ? 'take-over' : operatorsChoice(facts)
}

/** The candidate has no stamp of the tenant. */
function decideForEmptyCandidate(
  facts: PlacementFacts,
  current: TenantPresence | 'unreachable',
): PlacementDecision {
  if (current === 'unreachable') return 'wait'
  if (current.stamp?.epoch === facts.epoch) return isNewerInShared(facts) ? 'ambiguous' : 'relocate'
  return current.stamp === null && !current.ownsRows && isOpenInShared(facts)
    ? 'return-to-shared'
    : 'ambiguous'
}

function decideWithoutCurrent(facts: PlacementFacts, stamp: Stamp): PlacementDecision {
  const isCopy = stamp.epoch === facts.epoch
  // A relocation copies no rows. So these rows prove that an unfinished take-over wrote the stamp.
  const isUnfinishedTakeOver = isUncommitted(stamp, facts.epoch) && facts.candidate.ownsRows
  return isCopy || isUnfinishedTakeOver ? unlessNewerInShared(facts, 'take-over') : operatorsChoice(facts)
}

function decideBetween(
  facts: PlacementFacts,
  { stamp, current }: { stamp: Stamp; current: TenantPresence },
): PlacementDecision {
  const { epoch, candidate, shared } = facts
  if (current.stamp === null && !current.ownsRows) {
    // If the tenant has a dedicated database, a candidate at the catalog's epoch is a copy of it, and the original is empty now.
    const isNewer = shared === null ? stamp.epoch > epoch : stamp.epoch >= epoch
    return isNewer && !isNewerInShared(facts) ? 'take-over' : operatorsChoice(facts)
  }
  if (current.stamp?.epoch !== epoch) return operatorsChoice(facts)
  // A fenced stamp remains after the tenant has moved away, or after a relocation that was not committed.
  const isLeftover = stamp.state === 'fenced' && stamp.epoch <= epoch + 1 && !candidate.ownsRows
  if (isLeftover) return unlessNewerInShared(facts, 'relocate')
  if (stamp.epoch === epoch && shared !== null) {
    const choice = operatorsChoice(facts)
    return choice === 'ambiguous' ? 'copy' : choice
  }
  return operatorsChoice(facts)
}

/** An operator may choose the candidate, except where rows of the tenant would be lost. */
function operatorsChoice({ adopt, current, shared }: PlacementFacts): PlacementDecision {
  const others = [current, shared].filter((other) => typeof other === 'object' && other !== null)
  return adopt && !others.some(({ ownsRows }) => ownsRows) ? 'take-over' : 'ambiguous'
}

function unlessNewerInShared(facts: PlacementFacts, decision: PlacementDecision): PlacementDecision {
  return isNewerInShared(facts) ? operatorsChoice(facts) : decision
}

/** An uncommitted move to the shared database leaves a fenced stamp of the next epoch, without rows. It does not count. */
function isNewerInShared({ shared, epoch }: PlacementFacts): boolean {
  if (shared === null || shared.stamp === null || shared.stamp.epoch <= epoch) return false
  return !isUncommitted(shared.stamp, epoch) || shared.ownsRows
}

/** The tenant has returned to the shared database, but the catalog does not know it. */
function isOpenInShared({ shared, epoch }: PlacementFacts): boolean {
  return (
    shared !== null && shared.stamp !== null && shared.stamp.state === 'open' && shared.stamp.epoch > epoch
  )
}

function isUncommitted({ state, epoch }: Stamp, catalogEpoch: number): boolean {
  return state === 'fenced' && epoch === catalogEpoch + 1
}
