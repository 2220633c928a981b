import type { SeededFault } from './seeded-fault.ts'

const PERSONS = 'src/catalog/audit/persons.ts'
const TESTS = ['test/http/audit-persons.test.ts']

export const AUDIT_PERSONS: readonly SeededFault[] = [
  {
    name: 'personal fields stand in the audit log',
    file: PERSONS,
    find: '[name, isPersonal(name, value) ? marker : value]',
    replace: '[name, value]',
    tests: TESTS,
  },
  {
    name: 'what is kept of people outlives them',
    file: PERSONS,
    find: 'for (const { personId, tenantId } of deletions) {',
    replace: 'for (const { personId, tenantId } of deletions.slice(0, 0)) {',
    tests: TESTS,
  },
  {
    name: 'the audit chain does not cover what is kept apart',
    file: 'src/catalog/audit/chain.ts',
    find: "encode(commitment, 'hex'))::text`",
    replace: "encode(case when commitment is null then null end, 'hex'))::text`",
    tests: TESTS,
  },
  {
    name: 'personal fields of another entry are believed',
    file: PERSONS,
    find: 'if (commitment === null || !timingSafeEqual(found, commitment)) return null',
    replace: 'if (found === null) return null',
    tests: TESTS,
  },
  {
    name: 'an anchor is believed without a check of who made it',
    file: 'src/catalog/audit/anchor.ts',
    find: 'anchor.mac !== null && isSame(anchor.mac, anchorMac(key, anchor)) && ',
    replace: '',
    tests: ['test/catalog/audit-rechained.test.ts'],
  },
  {
    name: 'seals of the former chain are not checked',
    file: 'src/catalog/audit/anchor.ts',
    find: 'earliest(anchor.firstBreak, await firstFormerBreak(store, key))',
    replace: 'earliest(anchor.firstBreak, null)',
    tests: ['test/catalog/audit-rechained.test.ts'],
  },
]
