import type { SchemaVersion } from '../schema.ts'
import type { Outcome } from './claims.ts'
import type { DatabaseErrorCode } from './entry.ts'

/** `residence` says what a valid database is to the tenant: its home, a place it would have to move to first, or a copy of its home. */
export type ValidationOutcome =
  | {
      ok: true
      serverVersion: string
      schemaVersion: SchemaVersion
      systemIdentifier: string | null
      databaseOid: number
      residence: 'tenant-database' | 'move-required' | 'copy'
      /** It lacks migrations of this release. */
      isBehind?: boolean
    }
  | { ok: false; code: DatabaseErrorCode; words?: string | null }

/** What a health round found: the schema version only where it was read. */
export type HealthResult =
  | { readonly schemaVersion?: SchemaVersion }
  | { readonly code: DatabaseErrorCode; readonly isUnproven?: boolean }

const IS_COPY = {
  errorCode: 'IDENTITY_AMBIGUOUS',
  errorWords:
    'It is a copy of the database that serves the tenant: what was written there since would be lost',
} as const

/** What a validation that came to this makes of the entry. */
export function outcomeOf(outcome: ValidationOutcome): Outcome {
  if (!outcome.ok) {
    const event = outcome.code === 'READ_ONLY' ? 'validation-read-only' : 'validation-failed'
    return { event, errorCode: outcome.code, errorWords: outcome.words ?? null }
  }
  const { ok: _ok, residence, isBehind: isOutdated = false, ...found } = outcome
  const facts = { ...found, moveRequired: residence !== 'tenant-database' }
  return {
    ...{ event: 'validation-succeeded', facts },
    ...(isOutdated && { errorCode: 'SCHEMA_OUT_OF_DATE' }),
    ...(residence === 'copy' && IS_COPY),
  }
}

/** What the tenant databases of this release have, and what a replica must know to bring one that far. */
export interface ReleaseView {
  readonly target: SchemaVersion
  readonly needs: readonly string[]
}

/** Of a part of the gateway that knows of no migrations. */
export const NO_RELEASE: ReleaseView = { target: { core: null, application: null }, needs: [] }
