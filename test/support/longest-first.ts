import { BaseSequencer, type TestSpecification } from 'vitest/node'

/**
 * Files that take long, the longest first. Vitest knows how long a file took only where it has run before; elsewhere it starts
 * with the largest files. These are small and slow, and the last of a run would keep one worker busy and the others idle.
 */
const LONG = [
  'package/tutorial.test.ts',
  'stories/embedded-start.test.ts',
  'package/rolling-upgrade.test.ts',
  'guarantees/fuzz.test.ts',
  'package/upgrade.test.ts',
  'stories/readme.test.ts',
  'http/client.test.ts',
  'guarantees/isolation-prover.test.ts',
  'guarantees/warm-path.test.ts',
  'application/register.test.ts',
  'http/sessions.test.ts',
  'stories/former-data.test.ts',
  'package/init.test.ts',
  'guarantees/lists-by-index.test.ts',
  'stories/demo.test.ts',
  'pools/tenant-pool.test.ts',
  'application/isolation-proof.test.ts',
  'schema/command.test.ts',
  'faults/process.test.ts',
  'faults/validation-crash.test.ts',
  'faults/swapped-database.test.ts',
  'faults/poolers.test.ts',
  'faults/shared-budget.test.ts',
  'faults/dead-server.test.ts',
  'faults/restored-catalog.test.ts',
  'faults/read-only.test.ts',
  'faults/descriptors.test.ts',
  'faults/key-rotation.test.ts',
  'faults/lost-database.test.ts',
  'faults/high-latency.test.ts',
  'faults/migration-crash.test.ts',
  'faults/stdout-unread.test.ts',
  'faults/heap-snapshot.test.ts',
]

/** Vitest's order, with the files that take long before the others of their group. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    return sorted.toSorted((a, b) => groupOf(a) - groupOf(b) || rankOf(a) - rankOf(b))
  }
}

function groupOf({ project }: TestSpecification): number {
  return project.config.sequence.groupOrder
}

function rankOf({ moduleId }: TestSpecification): number {
  const rank = LONG.findIndex((name) => moduleId.endsWith(`/test/${name}`))
  return rank === -1 ? LONG.length : rank
}
