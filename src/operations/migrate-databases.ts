import type { Actor } from '../catalog/audit/entries.ts'
import { advanceRun, type RunRow, runsUnderWay } from '../catalog/runs/advance.ts'
import { findRun, listRunDatabases, listRuns } from '../catalog/runs/list.ts'
import { RUN_DEFAULTS } from '../catalog/runs/options.ts'
import { startRun } from '../catalog/runs/start.ts'
import { type RunVerb, steerRun } from '../catalog/runs/steer.ts'
import type { CatalogStore } from '../catalog/store.ts'
import type { Release } from '../migrations/release.ts'
import type { Operations } from './operations.ts'

export interface AdvanceDeps {
  readonly store: CatalogStore
  /** Lets queued jobs start now, before the next poll. */
  readonly wake: () => void
  readonly log: {
    info(fields: object, message: string): void
    warn(fields: object, message: string): void
  }
}

export type MigrateDatabasesDeps = AdvanceDeps & { readonly release: Pick<Release, 'target' | 'runNeeds'> }

/** Moves the run that is under way on. Call it when a job of a run has ended, and from time to time for what a killed replica left. */
export async function advanceRuns({ store, wake, log }: AdvanceDeps): Promise<void> {
  for (const id of await runsUnderWay(store)) {
    const advance = await advanceRun(store, id)
    if (advance === null) continue
    if (advance.queued > 0) wake()
    record(log, advance.run)
  }
}

function record(log: AdvanceDeps['log'], { id: runId, status, wave, done, failed, skipped }: RunRow): void {
  if (status === 'halted') log.warn({ runId, wave }, 'migration run halted')
  else if (status === 'paused') log.info({ runId, wave }, 'migration run paused')
  else if (status !== 'running') log.info({ runId, status, done, failed, skipped }, 'migration run ended')
}

/** The operations on runs of migrations. */
export function migrateDatabases(
  deps: MigrateDatabasesDeps,
): Pick<Operations, 'startMigrations' | 'steerMigrations' | 'listRuns' | 'findRun' | 'listRunDatabases'> {
  const { store } = deps
  return {
    startMigrations: async (request, actor) => {
      const { tenants = null, ...options } = request
      const id = await startRun(store, {
        ...{ target: deps.release.target, needs: deps.release.runNeeds },
        ...{ options: { ...RUN_DEFAULTS, ...options }, tenants, actor },
      })
      deps.wake()
      return findRun(store, id)
    },
    steerMigrations: (id, verb, actor) => steer(deps, { id, verb, actor }),
    listRuns: (query) => listRuns(store, query),
    findRun: (id) => findRun(store, id),
    listRunDatabases: (id, query) => listRunDatabases(store, id, query),
  }
}

async function steer(
  deps: MigrateDatabasesDeps,
  how: { id: string; verb: RunVerb; actor: Actor },
): Promise<RunRow> {
  await steerRun(deps.store, how)
  deps.wake()
  return findRun(deps.store, how.id)
}
