import { sql } from 'drizzle-orm'
import { check, index, integer, jsonb, pgTable, text, uniqueIndex, uuid } from 'drizzle-orm/pg-core'
import { moment } from '../columns.ts'
import type { SchemaVersion } from '../schema.ts'
import type { RunOptions, WaveCounts } from './options.ts'

export const RUN_STATUSES = ['running', 'paused', 'halted', 'succeeded', 'failed', 'cancelled'] as const
export type RunStatus = (typeof RUN_STATUSES)[number]

/**
 * What a running run does next. `all`: it takes the databases wave by wave. `failed-only`: it takes those that failed, and then
 * stops. The others take no more databases, and end the run's work when the work under way has ended.
 */
export type RunMode = 'all' | 'failed-only' | 'pausing' | 'halting' | 'cancelling'

/** `retrying` is a database that failed and waits for its next attempt. */
export type MemberState = 'waiting' | 'retrying' | 'running' | 'succeeded' | 'failed' | 'skipped'

/**
 * Runs that bring the schemas of all databases up to date. At most one run is unfinished. The counts are written when it ends; until
 * then they are counted from its databases. A release that knows no waves cannot write here: it leaves `waves` out when it starts a
 * run, and would end a paused one with counts that do not add up.
 */
export const migrationRuns = pgTable(
  'migration_runs',
  {
    id: uuid('id').primaryKey(),
    status: text('status').$type<RunStatus>().notNull().default('running'),
    mode: text('mode').$type<RunMode>().notNull().default('all'),
    target: jsonb('target').$type<SchemaVersion>().notNull(),
    /** What a replica must know to take a job of this run. */
    needs: text('needs').array().notNull().default([]),
    options: jsonb('options').$type<RunOptions>().notNull(),
    /** The current wave, and what became of each. */
    wave: integer('wave').notNull().default(0),
    waves: jsonb('waves').$type<WaveCounts[]>().notNull(),
    /** Failures up to the last `resume`. They do not halt the run again. */
    forgiven: integer('forgiven').notNull().default(0),
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
    check(
      'migration_runs_status_check',
      sql`${t.status} in ('running', 'paused', 'halted', 'succeeded', 'failed', 'cancelled')`,
    ),
    check(
      'migration_runs_finished_check',
      sql`(${t.status} in ('running', 'paused', 'halted')) = (${t.finishedAt} is null)`,
    ),
    check(
      'migration_runs_counts_check',
      sql`${t.finishedAt} is null or ${t.total} = ${t.done} + ${t.failed} + ${t.skipped}`,
    ),
  ],
)

/** The databases of a run, in the order in which it takes them. `databaseId` is null for the shared one. */
export const migrationRunDatabases = pgTable(
  'migration_run_databases',
  {
    id: uuid('id').primaryKey(),
    runId: uuid('run_id')
      .notNull()
      .references(() => migrationRuns.id, { onDelete: 'cascade' }),
    databaseId: uuid('database_id'),
    tenantId: uuid('tenant_id'),
    wave: integer('wave').notNull(),
    /** Host and port, as the pools count servers. */
    server: text('server').notNull().default(''),
    state: text('state').$type<MemberState>().notNull().default('waiting'),
    /** The job that migrates it. */
    jobId: uuid('job_id'),
    schemaVersion: jsonb('schema_version').$type<SchemaVersion>(),
    errorCode: text('error_code'),
    errorMessage: text('error_message'),
    startedAt: moment('started_at'),
    finishedAt: moment('finished_at'),
  },
  (t) => [
    index('migration_run_databases_run_idx').on(t.runId, t.id),
    index('migration_run_databases_next_idx').on(t.runId, t.state, t.wave, t.id),
    check(
      'migration_run_databases_state_check',
      sql`${t.state} in ('waiting', 'retrying', 'running', 'succeeded', 'failed', 'skipped')`,
    ),
    check('migration_run_databases_job_check', sql`${t.state} <> 'running' or ${t.jobId} is not null`),
  ],
)
