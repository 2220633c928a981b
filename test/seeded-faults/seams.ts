import type { SeededFault } from './seeded-fault.ts'

const SEAMS = ['test/faults/seams.test.ts']

export const BETWEEN_PARTS: readonly SeededFault[] = [
  {
    name: 'a person is erased by an id that any tenant may use',
    file: 'src/catalog/audit-persons.ts',
    find: '.where(and(eq(auditPersons.personId, personId), owner))',
    replace: '.where(eq(auditPersons.personId, personId))',
    tests: SEAMS,
  },
  {
    name: 'a database that refuses the password counts as gone',
    file: 'src/operations/give-up-database.ts',
    find: 'isReached || !OUT_OF_REACH.has(classify(cause))',
    replace: "isReached || classify(cause) === 'TOO_MANY_CONNECTIONS'",
    tests: SEAMS,
  },
  {
    name: 'what is known of accounts outlives a catalog that went back',
    file: 'src/parts.ts',
    find: 'revocations.forgetAccounts()',
    replace: '',
    tests: SEAMS,
  },
  {
    name: 'read-only is believed of what was not looked at',
    file: 'src/catalog/databases.ts',
    find: "result.code === 'READ_ONLY' && !result.isUnproven",
    replace: "result.code === 'READ_ONLY'",
    tests: SEAMS,
  },
]
