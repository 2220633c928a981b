import { isCatalogOutage } from '../../catalog/store.ts'
import { type Clock, systemClock } from '../../lib/clock.ts'
import { FreshCache } from '../../lib/fresh-cache.ts'

export interface CatalogRowCacheOptions<Row> {
  readonly load: (lookup: string) => Promise<Row | null>
  /** Whether a lookup is the row's id. */
  readonly isById?: boolean
  /** How long a row serves while the catalog is out of reach, since it was read. */
  readonly maxStalenessMs: number
  readonly clock?: Clock
}

/**
 * Keeps rows of the catalog that prove a credential. In an outage a known credential must not wait for the catalog, so the
 * next try is made in the background.
 */
export function createCatalogRowCache<Row extends { readonly id: string }>({
  load,
  isById = false,
  maxStalenessMs,
  clock = systemClock,
}: CatalogRowCacheOptions<Row>): FreshCache<string, Row> {
  return new FreshCache<string, Row>({
    ...{ load, maxStalenessMs, clock, max: 10_000, ttlMs: 60_000 },
    keyOf: (lookup) => lookup,
    idOf: ({ id }) => id,
    isId: () => isById,
    keysOf: (_row, lookup) => (isById ? [] : [lookup]),
    isOutage: isCatalogOutage,
    outageOf: 'all',
    retry: 'background',
  })
}
