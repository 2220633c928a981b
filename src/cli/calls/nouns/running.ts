import { type ApiCommand, choice, command, names, number, numbers, tenant, text } from '../command.ts'

const STATES = ['current', 'behind', 'failed', 'unreachable', 'drifted']
const JOB_STATUSES = ['queued', 'running', 'succeeded', 'failed', 'cancelled']

export const MIGRATIONS: readonly ApiCommand[] = [
  command('migrations status', 'GET /migrations', ['count the databases by the state of their schema']),
  command('migrations databases', 'GET /migrations/databases', [
    'list the schema of each database',
    {
      columns: ['tenantId', 'state', 'schemaVersion.core', 'schemaVersion.application', 'lastError.code'],
      flags: [choice('state', STATES, 'only those in this state')],
    },
  ]),
  command('migrations run', 'POST /migrations/runs', [
    'migrate every database, and wait for the end',
    {
      isFollowed: true,
      flags: [
        choice('shared', ['first', 'last', 'skip'], 'when the shared database is migrated (default: first)'),
        number('canary', 'canary', 'databases in the first wave of dedicated ones (default: 1)'),
        numbers('waves', 'waves', 'cumulative percents, with commas between (default: 10,50,100)'),
        number('concurrency', 'concurrency', 'databases at the same time (default: 8)'),
        number('per-server', 'perServer', 'the same, of one server (default: 2)'),
        number('lock-timeout', 'lockTimeoutMs', 'milliseconds to wait for a lock (default: 2000)'),
        number('halt-after', 'haltAfterFailures', 'halt after so many failures (default: 1)'),
        names('tenants', 'tenants', 'only these tenants, by code or id, with commas between'),
      ],
    },
  ]),
  command('migrations runs', 'GET /migrations/runs', [
    'list the runs',
    { columns: ['id', 'status', 'counts.done', 'counts.failed', 'counts.total', 'createdAt'] },
  ]),
  command('migrations get', 'GET /migrations/runs/{id}', ['show a run']),
  command('migrations run-databases', 'GET /migrations/runs/{id}/databases', [
    'list the databases of a run, and why one failed',
    { columns: ['tenantId', 'wave', 'state', 'error.code', 'error.message'] },
  ]),
  command('migrations pause', 'POST /migrations/runs/{id}/pause', ['pause a run']),
  command('migrations resume', 'POST /migrations/runs/{id}/resume', [
    'go on with a run that is paused or halted, and wait for the end',
    { isFollowed: true },
  ]),
  command('migrations retry', 'POST /migrations/runs/{id}/retry', [
    'migrate the failed databases of a run again, and wait for the end',
    { isFollowed: true },
  ]),
  command('migrations cancel', 'POST /migrations/runs/{id}/cancel', ['cancel a run']),
]

export const JOBS: readonly ApiCommand[] = [
  command('jobs list', 'GET /jobs', [
    'list the jobs, newest first',
    {
      columns: ['kind', 'status', 'error.code', 'createdAt', 'tenantId', 'id'],
      flags: [
        text('kind', 'kind', 'only those of this kind'),
        choice('status', JOB_STATUSES, 'only those with this status'),
        tenant('tenant', 'tenantId', 'only those of this tenant'),
      ],
    },
  ]),
  command('jobs get', 'GET /jobs/{id}', ['show a job']),
  command('jobs cancel', 'POST /jobs/{id}/cancel', ['cancel a job']),
]

export const SERVICE: readonly ApiCommand[] = [
  command('encryption get', 'GET /encryption', ['count the secrets by the key that encrypts them']),
  command('encryption rotate', 'POST /encryption/rotate', ['encrypt every secret with the current key']),
  command('audit list', 'GET /audit-log', [
    'list the audit log, newest first',
    {
      columns: ['at', 'action', 'actor.type', 'actor.id', 'tenantId', 'address'],
      flags: [
        tenant('tenant', 'tenantId', 'only entries about this tenant'),
        text('actor', 'actor', 'only entries of this actor'),
        text('action', 'action', 'only entries of this action'),
        text('from', 'from', 'only entries from this moment on, as ISO 8601'),
        text('to', 'to', 'only entries before this moment, as ISO 8601'),
      ],
    },
  ]),
  command('audit verify', 'GET /audit-log/verify', ['verify that no entry was changed or removed']),
  command('health', 'GET /health', ['show how the gateway does', { prefix: '' }]),
]
