import type { SeededFault } from './seeded-fault.ts'

const CHURN = ['test/unit/pools/churn.test.ts']

/** Which connections are closed and opened when databases outnumber the connections. */
export const CHURN_FAULTS: readonly SeededFault[] = [
  {
    name: 'churn: the connection that was used least recently is closed, however often it was used',
    file: 'src/lib/cache/use-score.ts',
    find: 'return more + Math.log2(1 + 2 ** (less - more))',
    replace: 'return more',
    tests: CHURN,
  },
  {
    name: 'churn: a pool that has to come back is new to the gateway',
    file: 'src/lib/cache/lease-cache.ts',
    find: 'this.#former.get(key) ?? NEVER_USED',
    replace: 'NEVER_USED',
    tests: ['test/unit/lib/lease-cache.test.ts'],
  },
  {
    name: 'churn: pools that wait push out those that have connections',
    file: 'src/pools/pool-manager.ts',
    find: 'takesPlace: (pool) => pool.held > 0,',
    replace: '',
    tests: CHURN,
  },
  {
    name: 'churn: a pool is replaced while requests use it',
    file: 'src/lib/cache/lease-cache.ts',
    find: 'const isFree = entry.leases === 0 || !isUsed(entry.value, entry.leases)',
    replace: 'const isFree = isUsed(entry.value, entry.leases)',
    tests: CHURN,
  },
  {
    name: 'churn: a pool whose connections are kept never makes room for another',
    file: 'src/lib/cache/lease-cache.ts',
    find: 'entry.leases === 0 || !isUsed(entry.value, entry.leases)',
    replace: 'entry.leases === 0',
    tests: ['test/unit/lib/lease-cache.test.ts'],
  },
  {
    name: 'churn: a pool whose reads ride lanes counts as hardly used',
    file: 'src/lib/cache/lease-cache.ts',
    find: 'if (entry !== undefined) this.#noteUses(entry, uses)',
    replace: 'if (entry !== undefined) this.#noteUses(entry, 1)',
    tests: ['test/unit/lib/lease-cache.test.ts'],
  },
]
