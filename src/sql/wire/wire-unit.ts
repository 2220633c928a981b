import type { TenantCheck } from '../../pools/wire/tenant-unit.ts'
import type { RowReader, WireRow } from './row-reader.ts'
import type { WireStatement } from './wire-statement.ts'

/**
 * Why a unit has no answer. `limit`: the lane's time limit ended it. `outdated`: the server holds other statements than we
 * believe. `unfit`: the server describes other columns or parameters than the declared ones. `refused`: any other error. `large`:
 * its answer was larger than a lane reads, and the connection ended. `lost`: the connection ended. `unsent`: it could not be
 * written. `late`: it waited too long for a lane.
 */
export type Unanswered = 'limit' | 'outdated' | 'unfit' | 'refused' | 'large' | 'lost' | 'unsent' | 'late'

/** What one connection knows of a statement. */
export interface Preparation {
  /** Null until the server has described the columns, and if they are not the declared ones. No row is read without it. */
  reader: RowReader | null
  /** How many columns the server has described. Negative before. */
  count: number
  /** The server has refused to prepare or to describe it, so it is prepared anew before it is used again. */
  hasFailed: boolean
  /** The server has described other columns or parameters than the declared ones. */
  isUnfit: boolean
}

/** One statement of a tenant with its tenant check, and who waits for its answer. Exactly one of the last two is called, once. */
export interface WireUnit {
  readonly tenantId: string
  readonly tenantCheck: TenantCheck
  readonly statement: WireStatement
  readonly values: readonly unknown[]
  /** Its number on the connection, as text. The server repeats it in its answer. Set when it is written. */
  number: string
  /** Set when it is written. */
  preparation: Preparation | null
  /** True if it carries Close, Parse and Describe. */
  prepares: boolean
  readonly rows: WireRow[]
  /** The SQLSTATE with which the server refused it. */
  refusal: string | null
  /** Called just before it is written. If this throws, it is not. */
  assertCurrent(): void
  ended(why: Unanswered | null): void
  /** It was not written, for this reason. */
  failed(error: unknown): void
}
