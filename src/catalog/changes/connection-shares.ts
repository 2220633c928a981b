/** How many connections, in total and to each database server. */
export interface Connections {
  readonly max: number
  readonly maxPerServer: number
}

/** Why a replica has no connections. */
export type ShareWait = 'held-by-others' | 'more-replicas-than-connections'

/** What this process holds of the connections that all replicas have together. */
export interface ConnectionShare {
  /** What all replicas together may hold, as this process was configured. The smallest value of all replicas counts. */
  readonly total: Connections
  /** False while more connections are open than the last grant allows, in total or to one server. */
  readonly isWithin: () => boolean
  /** Sets how many connections this process may hold from now on. */
  readonly grant: (connections: Connections) => void
  /** Called when the total changes, and when replicas start or stop to differ in their limits. */
  readonly onTotal?: (total: Connections, differ: boolean) => void
  /** Called when this process has had no connections for a while. */
  readonly onWait?: (reason: ShareWait) => void
}

export const NO_CONNECTIONS: Connections = { max: 0, maxPerServer: 0 }

/**
 * The part of `total` for the replica `id`. All parts are whole numbers, differ by at most one, and add up to `total`. `ids` are
 * the ids of all live replicas, in any order.
 */
export function partOf(total: number, ids: readonly string[], id: string): number {
  const rank = ids.toSorted().indexOf(id)
  return Math.floor(total / ids.length) + (rank < total % ids.length ? 1 : 0)
}

/** The limits that a replica was configured with; null from an older release. */
export interface ReplicaLimits {
  readonly limit: number | null
  readonly limitPerServer: number | null
}

/** What all replicas together may hold: the smallest limit that any of them was configured with. */
export function smallestTotal(own: Connections, others: readonly ReplicaLimits[]): Connections {
  return {
    max: Math.min(own.max, ...others.map(({ limit }) => limit ?? own.max)),
    maxPerServer: Math.min(
      own.maxPerServer,
      ...others.map(({ limitPerServer: limit }) => limit ?? own.maxPerServer),
    ),
  }
}

export function lesser(one: Connections, other: Connections): Connections {
  return {
    max: Math.min(one.max, other.max),
    maxPerServer: Math.min(one.maxPerServer, other.maxPerServer),
  }
}

export function greater(one: Connections, other: Connections): Connections {
  return {
    max: Math.max(one.max, other.max),
    maxPerServer: Math.max(one.maxPerServer, other.maxPerServer),
  }
}

/** False for a share that allows no connection to any server. */
export function hasAny({ max, maxPerServer }: Connections): boolean {
  return max > 0 && maxPerServer > 0
}

export function isSame(one: Connections, other: Connections): boolean {
  return one.max === other.max && one.maxPerServer === other.maxPerServer
}
