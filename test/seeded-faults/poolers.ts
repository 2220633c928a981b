import type { SeededFault } from './seeded-fault.ts'

const SESSION = ['test/pools/tenant-session.test.ts']
/** Without a PgBouncer on the machine, these tests are skipped and find nothing. */
const POOLED = ['test/faults/poolers.test.ts']

/** Protections for connections that a pooler or other processes share. */
export const POOLERS: readonly SeededFault[] = [
  {
    name: 'statements are named in the order in which a process meets them',
    file: 'src/pools/wire/tenant-unit.ts',
    find: "createHash('sha256').update(text).digest('base64url')",
    replace: 'names.size',
    tests: ['test/unit/pools/statement-names.test.ts', 'test/faults/statement-names.test.ts'],
  },
  {
    name: 'a statement under our name is taken for ours',
    file: 'src/pools/wire/tenant-unit.ts',
    find: "const OUT_OF_STEP = new Set(['26000', '42P05'])",
    replace: "const OUT_OF_STEP = new Set(['26000'])",
    tests: SESSION,
  },
  {
    name: 'names are not closed before they are given out anew',
    file: 'src/pools/wire/tenant-unit.ts',
    find: 'if (prepared.isDistrusted || prepared.doubtful.has(name))',
    replace: 'if (prepared === null)',
    tests: SESSION,
  },
  {
    name: 'settings do not travel with a unit behind a pooler',
    file: 'src/pools/wire/tenant-unit.ts',
    find: "const settings = setup === undefined ? '' : ",
    replace: "const settings = setup !== undefined || begin ? '' : ",
    tests: POOLED,
  },
  {
    name: 'a unit behind a pooler does not ask which database it meets',
    file: 'src/lib/postgres/session-settings.ts',
    find: "ELSE 'repeatable read' END",
    replace: "ELSE 'read committed' END",
    tests: POOLED,
  },
  {
    name: 'a pooler in statement mode is not told from others',
    file: 'src/pools/wire/sessionless.ts',
    find: "? new PoolerUnsupportedError('STATEMENT_MODE', error)",
    replace: '? error',
    tests: POOLED,
  },
  {
    name: 'the catalog is taken behind a pooler that lends no sessions',
    file: 'src/pools/pool-mode.ts',
    find: 'if (await isShared(one, other))',
    replace: 'if (!(await isShared(one, other)) && round < 0)',
    tests: POOLED,
  },
  {
    name: 'what a role brings along is not pinned where there is no pooler',
    file: 'src/lib/postgres/session-settings.ts',
    find: "  { name: 'extra_float_digits', value: '1' },\n",
    replace: '',
    tests: POOLED,
  },
]
