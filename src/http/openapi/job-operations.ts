/** What operators see of the work in the background. */
import * as Answers from './answer-schemas.ts'
import { API, described, type Operations } from './described.ts'

export const JOB_OPERATIONS: Operations = {
  [`GET ${API}/jobs`]: described(
    ['operators: jobs', 'listJobs', 'Work in the background, newest first'],
    200,
    Answers.pageOf('JobList', Answers.Job),
  ),
  [`GET ${API}/jobs/:id`]: described(['operators: jobs', 'findJob', 'One job'], 200, Answers.Job),
  [`POST ${API}/jobs/:id/cancel`]: described(
    ['operators: jobs', 'cancelJob', 'Cancel a job: a queued one at once, a running one within seconds'],
    202,
    Answers.Job,
    { codes: ['WRONG_STATE'] },
  ),
}

export const MIGRATION_OPERATIONS: Operations = {
  [`GET ${API}/migrations`]: described(
    ['operators: migrations', 'readMigrations', 'How many databases have the schema of this release'],
    200,
    Answers.Migrations,
  ),
  [`GET ${API}/migrations/databases`]: described(
    ['operators: migrations', 'listSchemas', "Each database's schema, the shared one first"],
    200,
    Answers.pageOf('SchemaList', Answers.DatabaseSchema),
  ),
  [`POST ${API}/migrations/runs`]: described(
    ['operators: migrations', 'startMigrationRun', 'Bring every database up to date, in the background'],
    202,
    Answers.MigrationRun,
    { codes: ['RUN_IN_PROGRESS'] },
  ),
  [`GET ${API}/migrations/runs`]: described(
    ['operators: migrations', 'listMigrationRuns', 'Runs of migrations, newest first'],
    200,
    Answers.pageOf('MigrationRunList', Answers.MigrationRun),
  ),
  [`GET ${API}/migrations/runs/:id`]: described(
    ['operators: migrations', 'findMigrationRun', 'One run of migrations'],
    200,
    Answers.MigrationRun,
  ),
}
