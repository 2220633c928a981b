import type { SeededFault } from './seeded-fault.ts'

const MIGRATIONS = ['test/http/migrations.test.ts']
const JOBS_TEST = ['test/catalog/jobs.test.ts']

/** Protections against background work that is done twice, lost, or done by a replica that does not know how. */
export const JOBS: readonly SeededFault[] = [
  {
    name: 'a replica that was frozen finishes a job that another has taken over',
    file: 'src/catalog/jobs/queue.ts',
    find: "return and(eq(jobs.id, id), eq(jobs.attempts, attempts), eq(jobs.status, 'running'))",
    replace: "return and(eq(jobs.id, id), eq(jobs.status, 'running'), sql`${attempts}::int is not null`)",
    tests: JOBS_TEST,
  },
  {
    name: 'a claim does not get a number of its own',
    file: 'src/catalog/jobs/queue.ts',
    find: 'attempts: sql`${jobs.attempts} + 1`',
    replace: 'attempts: sql`greatest(${jobs.attempts}, 1)`',
    tests: JOBS_TEST,
  },
  {
    name: 'a validation counts though its job was taken over',
    file: 'src/catalog/databases/validations.ts',
    find: 'entry !== undefined && (await holdJob(tx, job)) ? entry : null',
    replace: 'job !== undefined && entry !== undefined ? entry : null',
    tests: ['test/catalog/databases.test.ts'],
  },
  {
    name: 'a job is claimed by two replicas',
    file: 'src/catalog/jobs/queue.ts',
    find: 'or(lt(jobs.leasedUntil, sql`now()`), isTooFarAhead(jobs.leasedUntil, LONGEST_LEASE_MS)),\n',
    replace: 'or(lt(jobs.createdAt, sql`now()`), isTooFarAhead(jobs.leasedUntil, LONGEST_LEASE_MS)),\n',
    tests: JOBS_TEST,
  },
  {
    name: 'an older release takes work that it does not know',
    file: 'src/catalog/jobs/queue.ts',
    find: 'or(isDue, isLeft), known)',
    replace: 'or(isDue, isLeft), or(known, isDue))',
    tests: JOBS_TEST,
  },
  {
    name: 'a job that is given back untouched is the next one again',
    file: 'src/catalog/jobs/queue.ts',
    find: '.orderBy(asc(jobs.dueAt), asc(jobs.id))',
    replace: '.orderBy(asc(jobs.id))',
    tests: JOBS_TEST,
  },
  {
    name: 'the lease of a job that takes long is not renewed',
    file: 'src/jobs/runner.ts',
    find: 'this.#renewal = setInterval(() => void this.#renew(), renewMs)',
    replace: 'this.#renewal = setInterval(() => undefined, renewMs)',
    tests: JOBS_TEST,
  },
  {
    name: 'a release takes databases out of service that it has outgrown',
    file: 'src/databases/checks.ts',
    find: '  return { schemaVersion: versionOf(state.versions), behind, isProven: false }',
    replace:
      "  if (behind.length > 0) throw new CheckFailure('SCHEMA_OUT_OF_DATE')\n  return { schemaVersion: versionOf(state.versions), behind, isProven: false }",
    tests: ['test/catalog/health-monitor.test.ts'],
  },
  {
    name: 'what a database lacks is told as a database that does not answer',
    file: 'src/sql/statement-verdict.ts',
    find: 'if (MISSING_OBJECT.has(code) && isBehind())',
    replace: "if (MISSING_OBJECT.has(code) && isBehind() && code === '')",
    tests: MIGRATIONS,
  },
  {
    name: 'a database that serves is taken out of service by a migration that fails',
    file: 'src/catalog/databases/entry-migrations.ts',
    find: "if (entry.status === 'active' || entry.status === 'inactive') await endForServing",
    replace: "if (entry.status === 'inactive') await endForServing",
    tests: MIGRATIONS,
  },
  {
    name: 'a run names no release that its jobs need',
    file: 'src/operations/migrate-databases.ts',
    find: 'needs: deps.release.runNeeds',
    replace: 'needs: []',
    tests: MIGRATIONS,
  },
  {
    name: 'the secret of a job outlives it',
    file: 'src/catalog/jobs/queue.ts',
    find: 'leasedUntil: null, sealedPayload: null }',
    replace: 'leasedUntil: null }',
    tests: JOBS_TEST,
  },
]
