import { sql } from 'drizzle-orm'
import { boolean, check, index, integer, jsonb, pgTable, text, uniqueIndex, uuid } from 'drizzle-orm/pg-core'
import { bytea, moment } from '../columns.ts'

export type JobStatus = 'queued' | 'running' | 'succeeded' | 'failed' | 'cancelled'

/**
 * Durable work in the background. `subject` is what a job works on. For one kind and subject at most one job is queued or
 * running. `attempts` counts the claims and is the fencing number: a result counts only with the number of the last claim.
 * `needs` lists what a replica must know (migrations, keys) to claim the job.
 */
export const jobs = pgTable(
  'jobs',
  {
    id: uuid('id').primaryKey(),
    kind: text('kind').notNull(),
    subject: text('subject').notNull(),
    tenantId: uuid('tenant_id'),
    serverId: uuid('server_id'),
    runId: uuid('run_id'),
    status: text('status').$type<JobStatus>().notNull().default('queued'),
    step: text('step'),
    payload: jsonb('payload').$type<Record<string, unknown>>().notNull().default({}),
    /** The secret part of the payload, sealed for this row. Removed when the job ends. */
    sealedPayload: bytea('sealed_payload'),
    needs: text('needs').array().notNull().default([]),
    attempts: integer('attempts').notNull().default(0),
    progressDone: integer('progress_done'),
    progressTotal: integer('progress_total'),
    result: jsonb('result').$type<Record<string, unknown>>(),
    errorCode: text('error_code'),
    errorMessage: text('error_message'),
    errorAt: moment('error_at'),
    dueAt: moment('due_at').notNull().defaultNow(),
    leasedBy: uuid('leased_by'),
    leasedUntil: moment('leased_until'),
    cancelRequested: boolean('cancel_requested').notNull().default(false),
    createdAt: moment('created_at').notNull().defaultNow(),
    startedAt: moment('started_at'),
    finishedAt: moment('finished_at'),
  },
  (t) => [
    uniqueIndex('jobs_unfinished_key').on(t.kind, t.subject).where(sql`${t.finishedAt} is null`),
    index('jobs_due_idx').on(t.kind, t.dueAt).where(sql`${t.finishedAt} is null`),
    index('jobs_finished_idx').on(t.finishedAt).where(sql`${t.finishedAt} is not null`),
    index('jobs_tenant_idx').on(t.tenantId, t.id),
    index('jobs_run_idx').on(t.runId, t.id).where(sql`${t.runId} is not null`),
    check('jobs_status_check', sql`${t.status} in ('queued', 'running', 'succeeded', 'failed', 'cancelled')`),
    check('jobs_finished_check', sql`(${t.status} in ('queued', 'running')) = (${t.finishedAt} is null)`),
    check('jobs_lease_check', sql`(${t.status} = 'running') = (${t.leasedUntil} is not null)`),
    check('jobs_secret_check', sql`${t.finishedAt} is null or ${t.sealedPayload} is null`),
  ],
)
