import type { SeededFault } from './seeded-fault.ts'

const RUNS_TEST = ['test/catalog/migration-runs.test.ts']

/** Protections of runs of migrations: their waves, limits and halts, and what a database that fails may do to the others. */
export const RUNS: readonly SeededFault[] = [
  {
    name: 'a wave begins while a database of the one before is under way',
    file: 'src/catalog/runs/dispatch.ts',
    find: "inArray(members.state, ['running', ...wantedStates(run)])",
    replace: 'inArray(members.state, wantedStates(run))',
    tests: RUNS_TEST,
  },
  {
    name: 'a run goes on although too many of its databases failed',
    file: 'src/catalog/runs/advance.ts',
    find: 'failed - forgiven >= options.haltAfterFailures',
    replace: 'failed - forgiven > options.haltAfterFailures',
    tests: RUNS_TEST,
  },
  {
    name: 'a resumed run halts at the failures that it halted at before',
    file: 'src/catalog/runs/steer.ts',
    find: 'forgiven: await countFailed(tx, run.id)',
    replace: 'forgiven: 0 * (await countFailed(tx, run.id))',
    tests: RUNS_TEST,
  },
  {
    name: 'a run takes more databases of a server than it may',
    file: 'src/catalog/runs/dispatch.ts',
    find: '(busy.get(server) ?? 0) >= perServer',
    replace: '(busy.get(server) ?? 0) > perServer',
    tests: RUNS_TEST,
  },
  {
    name: 'two replicas that move a run on together pass its limit',
    file: 'src/catalog/runs/advance.ts',
    find: "where(eq(migrationRuns.id, id)).for('update')",
    replace: 'where(eq(migrationRuns.id, id))',
    tests: RUNS_TEST,
  },
  {
    name: 'a retry takes databases that have not failed',
    file: 'src/catalog/runs/dispatch.ts',
    find: "mode === 'failed-only' ? ['retrying']",
    replace: "mode === 'cancelling' ? ['retrying']",
    tests: RUNS_TEST,
  },
  {
    name: 'a suspended tenant is migrated',
    file: 'src/catalog/runs/dispatch.ts',
    find: "if (tenantStatus !== 'ACTIVE') return 'TENANT_SUSPENDED'",
    replace: "if (tenantStatus === 'ACTIVE' && slot === null) return 'TENANT_SUSPENDED'",
    tests: RUNS_TEST,
  },
  {
    name: 'a paused run goes on with jobs that no replica has claimed',
    file: 'src/catalog/runs/advance.ts',
    find: "if (mode === 'pausing' || mode === 'halting') await withdrawJobs(tx, run.id)",
    replace: "if (mode === 'halting') await withdrawJobs(tx, run.id)",
    tests: RUNS_TEST,
  },
  {
    name: 'a cancelled run leaves its running jobs alone',
    file: 'src/catalog/runs/advance.ts',
    find: 'update ${jobs} set cancel_requested = true,',
    replace: 'update ${jobs} set cancel_requested = false,',
    tests: RUNS_TEST,
  },
  {
    name: 'a run ends while one of its databases is under way',
    file: 'src/catalog/runs/advance.ts',
    find: "if (running > 0) return 'running'",
    replace: "if (running > 1) return 'running'",
    tests: RUNS_TEST,
  },
  {
    name: 'a run with waves is ended by a release that knows none',
    file: 'src/migrations/release.ts',
    find: 'return [...this.needs, WAVES]',
    replace: 'return [...this.needs]',
    tests: ['test/http/migrations.test.ts'],
  },
  {
    name: 'a migration waits for locks longer than its run allows',
    file: 'src/databases/migration-job.ts',
    find: "typeof payload.lockTimeoutMs === 'number'",
    replace: "typeof payload.lockTimeoutMs === 'string'",
    tests: ['test/http/migration-runs.test.ts'],
  },
]
