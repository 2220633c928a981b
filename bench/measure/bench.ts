import type { BenchOptions } from '../options.ts'
import type { Group, Placement, RowName } from './group.ts'
import type { LoadGenerator } from './load-generator.ts'

/** What a scene gets from the command. */
export interface Bench {
  readonly options: BenchOptions
  readonly load: LoadGenerator
  /** False: the command line leaves the row out. */
  wants(row: RowName, placement: Placement): boolean
  say(lines: readonly string[]): void
  /** Measures the group, prints it, and keeps it for the file. */
  measure(group: Group): Promise<void>
}
