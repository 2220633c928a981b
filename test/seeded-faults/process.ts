import type { SeededFault } from './seeded-fault.ts'

const DESCRIPTORS = ['test/faults/descriptors.test.ts']

/** Protections that keep the process running, and let it end when it is told to. */
export const PROCESS: readonly SeededFault[] = [
  {
    name: 'callers may take all descriptors of the process',
    file: 'src/http/transport/connection-limit.ts',
    find: '  server.server.maxConnections = most\n',
    replace: '  if (most < 0) return\n',
    tests: DESCRIPTORS,
  },
  {
    name: 'connections beyond the mark are kept like all others',
    file: 'src/http/transport/connection-limit.ts',
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
  {
    name: "the password of a tenant's database stays in memory",
    file: 'src/lib/postgres/guarded-client.ts',
    find: "this.#wire.once('authenticationOk', () => this.#forgetPassword())",
    replace: '',
    tests: ['test/faults/heap-snapshot.test.ts'],
  },
  {
    name: 'a start without migrations is tried for ever',
    file: 'src/migrations/files.ts',
    find: 'if (migrations.length === 0)',
    replace: 'if (migrations.length < 0)',
    tests: ['test/unit/migrations/files.test.ts'],
  },
  {
    name: 'of two Hosts the first decides',
    file: 'src/http/transport/request-head.ts',
    find: "if (hosts > 1) return 'The request has several Host headers.'",
    replace: '',
    tests: ['test/http/requests.test.ts'],
  },
  {
    name: 'a query that is no UTF-8 is taken for another text',
    file: 'src/http/transport/request-head.ts',
    find: 'return isReadable(url) ? null :',
    replace: 'return isReadable(url) || true ? null :',
    tests: ['test/http/requests.test.ts'],
  },
]
