import { isCatalogOutage } from '../../catalog/store.ts'
import { FreshCache } from '../../lib/cache/fresh-cache.ts'
import { type Clock, systemClock } from '../../lib/clock.ts'

export interface CatalogRowCacheOptions<Row> {
  readonly load: (lookup: string) => Promise<Row | null>
  /** True if a lookup is the row's id. */
  readonly isById?: boolean
  /** How long a row may be used after it was read, while the catalog cannot be reached. */
  readonly maxStalenessMs: number
  readonly clock?: Clock
}

/**
 * Caches the rows of the catalog that prove a credential. In an outage a known credential must not wait for the catalog, so
 * the next attempt runs in the background.
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
