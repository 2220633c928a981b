import type { SeededFault } from './seeded-fault.ts'

const LOST = ['test/faults/lost-database.test.ts']

const RESTORED = ['test/faults/restored-catalog.test.ts']
const DECISION = ['test/unit/databases/placement-decision.test.ts']

/** Protections for databases that are lost, restored or given up. */
export const DISASTERS: readonly SeededFault[] = [
  {
    name: 'a restored database takes over at the epoch of the lost one',
    file: 'src/databases/apply-placement.ts',
    find: 'const newEpoch = Math.max(epoch, ...stamps.map((each) => each?.epoch ?? 0)) + 1',
    replace: 'const newEpoch = Math.max(epoch, ...stamps.map((each) => each?.epoch ?? 0))',
    tests: LOST,
  },
  {
    name: 'a copy takes over while the original serves',
    file: 'src/databases/placement-decision.ts',
    find: "return choice === 'ambiguous' ? 'copy' : choice",
    replace: "return 'take-over'",
    tests: LOST,
  },
  {
    name: 'a clone of a server is told from the original by its identity alone',
    file: 'src/databases/apply-placement.ts',
    find: 'hasItsName && systemIdentifier',
    replace: 'systemIdentifier',
    tests: LOST,
  },
  {
    name: 'a server that refuses the password is taken for one that is gone',
    file: 'src/databases/inspect-database.ts',
    find: 'if (!UNREACHABLE_CODES.has(found.code)) return fn(presumedServing(tenant))',
    replace: '',
    tests: LOST,
  },
  {
    name: 'that it is a copy is forgotten with the next health round',
    file: 'src/catalog/databases/claims.ts',
    find: '(isBehind ? outdated : noErrorButAmbiguity)',
    replace: '(isBehind ? outdated : noError)',
    tests: LOST,
  },
  {
    name: 'a database that answers and has rows is given up',
    file: 'src/operations/discard-lost-database.ts',
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
    file: 'src/operations/discard-lost-database.ts',
    find: 'if (former === null || former.epoch <= epoch)',
    replace: 'if (former === null)',
    tests: LOST,
  },
  {
    name: 'what is adopted has the epoch of the catalog that was restored',
    file: 'src/databases/apply-placement.ts',
    find: 'const newEpoch = Math.max(epoch, ...stamps.map((each) => each?.epoch ?? 0)) + 1',
    replace: 'const newEpoch = epoch + 1',
    tests: RESTORED,
  },
  {
    name: 'a database is adopted although another has rows of the tenant',
    file: 'src/databases/placement-decision.ts',
    find: 'return adopt && !others.some(({ ownsRows }) => ownsRows)',
    replace: 'return adopt',
    tests: [...DECISION, ...RESTORED],
  },
  {
    name: 'of two databases with a stamp the newer takes over without an operator',
    file: 'src/databases/placement-decision.ts',
    find: 'if (current.stamp?.epoch !== epoch) return operatorsChoice(facts)',
    replace: "if (current.stamp?.epoch !== epoch || stamp.epoch > epoch) return 'take-over'",
    tests: [...DECISION, ...RESTORED],
  },
  {
    name: 'what was decided counts for ever',
    file: 'src/catalog/databases/claims.ts',
    find: "...(outcome.event.startsWith('validation-') ? { adopt: false } : {}),",
    replace: '',
    tests: RESTORED,
  },
  {
    name: 'a home whose epoch is not that of the catalog is called healthy',
    file: 'src/health/monitor.ts',
    find: 'if (isResident && residence?.epoch !== entry.tenantEpoch)',
    replace: 'if (isResident && residence === null)',
    tests: RESTORED,
  },
  {
    name: 'a stamp above which there is no epoch is believed',
    file: 'src/residence/epochs.ts',
    find: 'return epoch <= MAX_EPOCH ? epoch : null',
    replace: 'return epoch',
    tests: RESTORED,
  },
  {
    name: 'a shared database that is ahead of the catalog is not noticed',
    file: 'src/sql/tenant-session.ts',
    find: "if (verdict === 'stale' && attempts >= MAX_ATTEMPTS) onStuck(this.tenantId)",
    replace: '',
    tests: RESTORED,
  },
]
