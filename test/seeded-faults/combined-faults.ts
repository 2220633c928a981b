import type { SeededFault } from './seeded-fault.ts'

const COMBINED_FAULTS = ['test/faults/combined-faults.test.ts']
const OWN_ROUTES = ['test/application/routes.test.ts']

export const BETWEEN_PARTS: readonly SeededFault[] = [
  {
    name: 'a person is erased by an id that any tenant may use',
    file: 'src/catalog/audit/persons.ts',
    find: '.where(and(eq(auditPersons.personId, personId), owner))',
    replace: '.where(eq(auditPersons.personId, personId))',
    tests: COMBINED_FAULTS,
  },
  {
    name: 'a database that refuses the password counts as gone',
    file: 'src/operations/discard-lost-database.ts',
    find: 'isConnected || !UNREACHABLE_CODES.has(classify(cause))',
    replace: "isConnected || classify(cause) === 'TOO_MANY_CONNECTIONS'",
    tests: COMBINED_FAULTS,
  },
  {
    name: 'what is known of accounts outlives a catalog that went back',
    file: 'src/gateway/follow-changes.ts',
    find: 'revocations.forgetAccounts()',
    replace: '',
    tests: COMBINED_FAULTS,
  },
  {
    name: 'read-only is believed of what was not looked at',
    file: 'src/catalog/databases/registry.ts',
    find: "result.code === 'READ_ONLY' && !result.isUnproven",
    replace: "result.code === 'READ_ONLY'",
    tests: COMBINED_FAULTS,
  },
  {
    name: 'an answer that is kept waits for having left',
    file: 'src/http/own/answer-once.ts',
    find: 'then: { value: undefined },',
    replace: '',
    tests: OWN_ROUTES,
  },
  {
    name: 'cookies are kept with an answer',
    file: 'src/http/own/answer-once.ts',
    find: "name !== 'set-cookie' &&",
    replace: '',
    tests: OWN_ROUTES,
  },
  {
    name: 'what a failed transaction has written commits with the one around it',
    file: 'src/http/own/request-tenant.ts',
    find: 'assertWhole()\n    return',
    replace: 'return',
    tests: OWN_ROUTES,
  },
  {
    name: 'a problem that cannot be written is answered in the words of what was wrong',
    file: 'src/http/error-handler.ts',
    find: "const internal = fail('INTERNAL_ERROR', { cause })",
    replace: 'const internal = problem\n    throw cause',
    tests: OWN_ROUTES,
  },
  {
    name: 'whatever the owner of a database writes into its journal is believed',
    file: 'src/migrations/journal.ts',
    find: 'if (rows.every(isWritten)) return rows',
    replace: 'if (rows.length >= 0) return rows',
    tests: ['test/migrations/apply.test.ts'],
  },
]
