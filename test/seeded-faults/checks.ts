import type { SeededFault } from './seeded-fault.ts'

const READ_ONLY = ['test/faults/read-only.test.ts']
const FAR = ['test/faults/high-latency.test.ts']
const FOREIGN = ['test/faults/foreign-databases.test.ts']
const ENCODING = ['test/faults/encoding.test.ts']

/** Protections in validation, health rounds and sessions against databases that are not as they should be. */
export const CHECKS: readonly SeededFault[] = [
  {
    name: 'a read-only database is registered',
    file: 'src/databases/checks.ts',
    find: "if (options.wasValid !== true && facts.isReadOnly) throw new CheckFailure('READ_ONLY')",
    replace: '',
    tests: READ_ONLY,
  },
  {
    name: 'a health round does not see that a database is read-only',
    file: 'src/health/monitor.ts',
    find: 'if (isReadOnly) code = this.#noteReadOnly(entry)',
    replace: '',
    tests: READ_ONLY,
  },
  {
    name: 'a read-only database counts as one that does not answer',
    file: 'src/catalog/databases/registry.ts',
    find: "result.code === 'READ_ONLY' && !result.isUnproven ? 'ping-read-only' : 'ping-failed'",
    replace: "'ping-failed'",
    tests: READ_ONLY,
  },
  {
    name: 'connections that were opened as read-only ones are kept',
    file: 'src/pools/tenant-pool.ts',
    find: 'if (isOutdated(error)) this.renew()',
    replace: '',
    tests: READ_ONLY,
  },
  {
    name: 'a validation blames a database for the current one, which is read-only',
    file: 'src/databases/validate-database.ts',
    find: "throw databaseError(error)?.code === '25006'",
    replace: "throw databaseError(error)?.code === 'none'",
    tests: READ_ONLY,
  },
  {
    name: 'a database in another encoding than UTF8 is registered',
    file: 'src/databases/checks.ts',
    find: "facts.encoding !== 'UTF8'",
    replace: "facts.encoding === ''",
    tests: ENCODING,
  },
  {
    name: 'a character that cannot be kept is a fault of ours',
    file: 'src/http/error-handler.ts',
    find: 'if (UNSTORABLE_TEXT.has(state))',
    replace: 'if (state === null)',
    tests: ENCODING,
  },
  {
    name: 'a refused database keeps what the migrations have made',
    file: 'src/migrations/apply.ts',
    find: 'return isFirst && todo.length > 0',
    replace: 'return !isFirst && todo.length > 0',
    tests: FOREIGN,
  },
  {
    name: 'a table in the way of a migration is not named',
    file: 'src/migrations/apply.ts',
    find: 'throw await withClash(client, migrations, error)',
    replace: 'throw error',
    tests: FOREIGN,
  },
  {
    name: 'the clone of a machine is taken for the machine',
    file: 'src/lib/postgres/database-identity.ts',
    find: 'return rows[0]?.seen !== false',
    replace: 'return rows.length === 1',
    tests: FOREIGN,
  },
  {
    name: 'our own database is taken for a clone',
    file: 'src/lib/postgres/database-identity.ts',
    find: "l.locktype = 'advisory'",
    replace: "l.locktype = 'none'",
    tests: FOREIGN,
  },
  {
    name: 'a write on an outdated plan is not done again',
    file: 'src/sql/statement-verdict.ts',
    find: "const OF_THE_CONNECTION = new Set(['26000', '42P05', '0A000', '25001'])",
    replace: "const OF_THE_CONNECTION = new Set(['26000', '42P05', '25001'])",
    tests: FOREIGN,
  },
  {
    name: 'what a trigger raises is the trouble of the database',
    file: 'src/sql/statement-verdict.ts',
    find: 'RAISED.test(code)',
    replace: 'code === null',
    tests: FOREIGN,
  },
  {
    name: 'a name longer than PostgreSQL keeps is taken',
    file: 'src/lib/postgres/connection-string.ts',
    find: "Buffer.byteLength(name) > MAX_NAME_BYTES ? refuse('NAME_TOO_LONG', place) : name",
    replace: 'name',
    tests: ['test/unit/lib/connection-string.test.ts'],
  },
  {
    name: 'each statement of a migration is a round trip',
    file: 'src/migrations/run-migrations.ts',
    find: "await client.query(`${before}${[...migration.statements, insertOf(migration)].join('\\n;\\n')}${after}`)",
    replace:
      'for (const text of [before, ...migration.statements, insertOf(migration), after]) await client.query(text)',
    tests: FAR,
  },
  {
    name: 'a validation counts the time until the connection is open',
    file: 'src/databases/check-connection.ts',
    find: 'const deadline = new AbortController()',
    replace:
      'const deadline = new AbortController()\n  setTimeout(() => deadline.abort(), checksTimeoutMs).unref()',
    tests: FAR,
  },
  {
    name: 'a late event loop is taken for a server that is gone',
    file: 'src/lib/time-limit.ts',
    find: 'const isOver = leftMs <= 0 && now - dueAt <= LATE_MS',
    replace: 'const isOver = now - begunAt >= ms',
    tests: ['test/pools/late-loop.test.ts'],
  },
  {
    name: 'a server that says nothing is waited for as long as we are busy',
    file: 'src/lib/time-limit.ts',
    find: 'if (isOver || now - begunAt >= ms * MAX_STRETCH) expire()',
    replace: 'if (isOver) expire()',
    tests: ['test/pools/late-loop.test.ts'],
  },
  {
    name: 'each of ten thousand faults is put into words',
    file: 'src/http/error-handler.ts',
    find: 'if (byPointer.size === MAX_FIELD_ERRORS) break',
    replace: '',
    tests: ['test/guarantees/loop-lag.test.ts'],
  },
  {
    name: 'a body is built before it is found to hold too much',
    file: 'src/http/transport/json-body.ts',
    find: 'if (commas > MAX_VALUES) throw tooMany()',
    replace: '',
    tests: ['test/unit/http/json-body.test.ts'],
  },
]
