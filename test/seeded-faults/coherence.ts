import type { SeededFault } from './seeded-fault.ts'

const FAILOVER = 'test/faults/catalog-failover.test.ts'

/** Replicas that agree with each other and with the catalog. */
export const COHERENCE: readonly SeededFault[] = [
  {
    name: 'catalog history: a follower knows its last change by the number alone',
    file: 'src/catalog/history.ts',
    find: 'if (position.id !== null && rows.shift()?.id !== position.id) return null',
    replace: 'if (position.id !== null && rows.shift() === undefined) return null',
    tests: ['test/catalog/changes.test.ts', FAILOVER],
  },
  {
    name: 'catalog history: a change is confirmed by the number alone',
    file: 'src/catalog/replicas.ts',
    find: '} = 0 or exists (',
    replace: '} >= 0 or exists (',
    tests: ['test/catalog/replicas.test.ts', FAILOVER],
  },
  {
    name: 'catalog history: after missed changes nothing that was begun is waited for',
    file: 'src/catalog/changes.ts',
    find: 'for (const tell of this.#onGap) this.#holdBack(tell())',
    replace: 'for (const tell of this.#onGap) tell()',
    tests: ['test/catalog/changes.test.ts'],
  },
  {
    name: 'catalog history: data keys of before are sealed with for ever',
    file: 'src/catalog/vault.ts',
    find: 'if (generation === this.#generation) this.#opened.set(tenantId, key)',
    replace: 'this.#opened.set(tenantId, key)',
    tests: ['test/catalog/vault.test.ts'],
  },
]
