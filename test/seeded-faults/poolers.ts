import type { SeededFault } from './seeded-fault.ts'

const SESSION = ['test/pools/tenant-session.test.ts']

/** Other processes, and a pooler, between us and a server's connection. */
export const POOLERS: readonly SeededFault[] = [
  {
    name: 'statements are named in the order in which a process meets them',
    file: 'src/pools/tenant-unit.ts',
    find: "createHash('sha256').update(text).digest('base64url')",
    replace: 'names.size',
    tests: ['test/unit/pools/statement-names.test.ts', 'test/faults/statement-names.test.ts'],
  },
  {
    name: 'a statement under our name is taken for ours',
    file: 'src/pools/tenant-unit.ts',
    find: "const OUT_OF_STEP = new Set(['26000', '42P05'])",
    replace: "const OUT_OF_STEP = new Set(['26000'])",
    tests: SESSION,
  },
  {
    name: 'names are not closed before they are given out anew',
    file: 'src/pools/tenant-unit.ts',
    find: 'if (prepared.isDistrusted || prepared.doubtful.has(name))',
    replace: 'if (prepared === null)',
    tests: SESSION,
  },
]
