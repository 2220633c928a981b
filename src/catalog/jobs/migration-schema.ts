import { sql } from 'drizzle-orm'
import { check, integer, jsonb, pgTable, text, uniqueIndex, uuid } from 'drizzle-orm/pg-core'
import { moment } from '../columns.ts'
import type { SchemaVersion } from '../schema.ts'

export type RunStatus = 'running' | 'succeeded' | 'failed' | 'cancelled'

/**
 * Runs that bring the schemas of all databases up to date, with one job for each database. At most one run is unfinished. `done`,
 * `failed` and `skipped` are written when it ends; until then they are counted from the jobs.
 */
export const migrationRuns = pgTable(
  'migration_runs',
  {
    id: uuid('id').primaryKey(),
    status: text('status').$type<RunStatus>().notNull().default('running'),
    target: jsonb('target').$type<SchemaVersion>().notNull(),
    total: integer('total').notNull(),
    done: integer('done').notNull().default(0),
    failed: integer('failed').notNull().default(0),
    skipped: integer('skipped').notNull().default(0),
    createdAt: moment('created_at').notNull().defaultNow(),
    finishedAt: moment('finished_at'),
  },
  (t) => [
    uniqueIndex('migration_runs_unfinished_key')
      .on(sql`(${t.finishedAt} is null)`)
      .where(sql`${t.finishedAt} is null`),
    check('migration_runs_status_check', sql`${t.status} in ('running', 'succeeded', 'failed', 'cancelled')`),
    check('migration_runs_finished_check', sql`(${t.status} = 'running') = (${t.finishedAt} is null)`),
  ],
)
