import type { SeededFault } from './seeded-fault.ts'

const LOST = ['test/faults/lost-database.test.ts']

/** Databases that are lost, restored, or given up. */
export const DISASTERS: readonly SeededFault[] = [
  {
    name: 'a restored database takes over at the epoch of the lost one',
    file: 'src/operations/settle-in.ts',
    find: 'const newEpoch = epoch + 1',
    replace: 'const newEpoch = epoch',
    tests: LOST,
  },
  {
    name: 'a copy takes over while the original serves',
    file: 'src/operations/settle-in.ts',
    find: "if (answer === 'serves') return 'copy'",
    replace: '',
    tests: LOST,
  },
  {
    name: 'a clone of a server is told from the original by its identity alone',
    file: 'src/operations/settle-in.ts',
    find: 'hasItsName && systemIdentifier',
    replace: 'systemIdentifier',
    tests: LOST,
  },
  {
    name: 'a server that refuses the password is taken for one that is gone',
    file: 'src/operations/ask-home.ts',
    find: "if (!OUT_OF_REACH.has(classify(error))) return 'serves'",
    replace: '',
    tests: LOST,
  },
  {
    name: 'that it is a copy is forgotten with the next health round',
    file: 'src/catalog/database-claims.ts',
    find: '    ...noErrorButAmbiguity,\n',
    replace: '    ...noError,\n',
    tests: LOST,
  },
  {
    name: 'a database that answers and has rows is given up',
    file: 'src/operations/give-up-database.ts',
    find: "if (await ownsRows(client, tenant.id)) throw fail('DATABASE_IN_USE', { detail: HOLDS_ROWS })",
    replace: '',
    tests: LOST,
  },
  {
    name: 'a database is given up without the code that confirms it',
    file: 'src/operations/remove-database.ts',
    find: 'if (!force || confirm === code) return',
    replace: 'if (!force || confirm !== code) return',
    tests: LOST,
  },
  {
    name: 'people whom a move left behind come back when a database is given up',
    file: 'src/operations/give-up-database.ts',
    find: 'if (left === null || left.epoch <= epoch)',
    replace: 'if (left === null)',
    tests: LOST,
  },
]
