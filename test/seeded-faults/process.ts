import type { SeededFault } from './seeded-fault.ts'

const DESCRIPTORS = ['test/faults/descriptors.test.ts']

/** What keeps the process itself from ending, and lets it end when it is told to. */
export const PROCESS: readonly SeededFault[] = [
  {
    name: 'callers may take all descriptors of the process',
    file: 'src/http/connection-limit.ts',
    find: '  server.server.maxConnections = most\n',
    replace: '  if (most < 0) return\n',
    tests: DESCRIPTORS,
  },
  {
    name: 'connections beyond the mark are kept like all others',
    file: 'src/http/connection-limit.ts',
    find: 'if (open <= mark) return',
    replace: 'if (open >= 0) return',
    tests: DESCRIPTORS,
  },
  {
    name: 'the end of a process waits for a reader that has stopped',
    file: 'src/logger.ts',
    find: 'endsAt = Math.min(endsAt, performance.now() + LAST_FLUSH_MS)',
    replace: '',
    tests: ['test/faults/stdout-unread.test.ts'],
  },
]
