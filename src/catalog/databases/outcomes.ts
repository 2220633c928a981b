import type { SchemaVersion } from '../schema.ts'
import type { Outcome } from './claims.ts'
import type { DatabaseErrorCode } from './entry.ts'

/** `move-required`: the tenant must be moved before the database can serve. `copy`: a copy of the tenant database. */
export type ValidatedAs = 'tenant-database' | 'move-required' | 'copy'

export type ValidationOutcome =
  | {
      ok: true
      serverVersion: string
      schemaVersion: SchemaVersion
      systemIdentifier: string | null
      databaseOid: number
      validatedAs: ValidatedAs
      /** The schema lacks migrations of this release. */
      isBehind?: boolean
    }
  | { ok: false; code: DatabaseErrorCode; words?: string | null }

/** What a health check found. `schemaVersion` is absent if it was not read. */
export type HealthResult =
  | { readonly schemaVersion?: SchemaVersion }
  | { readonly code: DatabaseErrorCode; readonly isUnproven?: boolean }

const IS_COPY = {
  errorCode: 'IDENTITY_AMBIGUOUS',
  errorWords:
    'It is a copy of the database that serves the tenant: what was written there since would be lost',
} as const

/** What this outcome of a validation means for the entry. */
export function outcomeOf(outcome: ValidationOutcome): Outcome {
  if (!outcome.ok) {
    const event = outcome.code === 'READ_ONLY' ? 'validation-read-only' : 'validation-failed'
    return { event, errorCode: outcome.code, errorWords: outcome.words ?? null }
  }
  const { ok: _ok, validatedAs, isBehind: isOutdated = false, ...found } = outcome
  const facts = { ...found, moveRequired: validatedAs !== 'tenant-database' }
  return {
    ...{ event: 'validation-succeeded', facts },
    ...(isOutdated && { errorCode: 'SCHEMA_OUT_OF_DATE' }),
    ...(validatedAs === 'copy' && IS_COPY),
  }
}

/** The schema version that this release brings tenant databases to, and what a replica must know to do so. */
export interface ReleaseView {
  readonly target: SchemaVersion
  readonly needs: readonly string[]
}

/** For a registry that never queues a migration. */
export const NO_RELEASE: ReleaseView = { target: { core: null, application: null }, needs: [] }
