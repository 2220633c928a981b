import type { SeededFault } from './seeded-fault.ts'

const WIRE = 'src/lib/wire/checked-wire.ts'
const MESSAGES = 'src/lib/wire/backend-messages.ts'
const UNIT = ['test/unit/lib/backend-frames.test.ts']
const CLIENT = ['test/pools/guarded-client.test.ts']

/** Protections against a server that breaks PostgreSQL's protocol. */
export const PROTOCOL: readonly SeededFault[] = [
  {
    name: "a server's messages reach pg's parser unchecked",
    file: WIRE,
    find: 'const messages = checks.frames.accept(chunk)',
    replace: 'const messages: Buffer | null = chunk',
    tests: ['test/guarantees/protocol-fuzz.test.ts'],
  },
  {
    name: 'what is said before TLS is taken for said inside it',
    file: WIRE,
    find: 'if (byte === ERROR || (answer.length === 1 && (byte === SSL_YES || byte === SSL_NO))) return',
    replace: 'if (byte !== undefined) return',
    tests: CLIENT,
  },
  {
    name: 'a fault of ours is blamed on the server',
    file: WIRE,
    find: 'if (isOfHandler(error)) return new HandlerFault(error)',
    replace: '',
    tests: CLIENT,
  },
  {
    name: 'a database waits longer and longer because of a fault of ours',
    file: 'src/pools/opening/attempt.ts',
    find: "if (isHandlerFault(error)) return 'ourselves'",
    replace: '',
    tests: ['test/unit/pools/breakers.test.ts'],
  },
  {
    name: 'a fault of ours is reported as an outage of the database',
    file: 'src/sql/statement-verdict.ts',
    find: 'if (isHandlerFault(error)) return error',
    replace: '',
    tests: ['test/unit/sql/statement-verdict.test.ts'],
  },
  {
    name: 'a fault of ours that carries a SQLSTATE passes as the answer of the database',
    file: 'src/lib/postgres/database-error.ts',
    find: 'if (e instanceof HandlerFault) return null',
    replace: '',
    tests: ['test/unit/sql/run-statement.test.ts'],
  },
  {
    name: 'an error or a notice may lack its end',
    file: MESSAGES,
    find: 'if (at !== end - 1) throw',
    replace: 'if (at < 0) throw',
    tests: UNIT,
  },
  {
    name: 'a row may have fewer values than it declares',
    file: MESSAGES,
    find: "if (at + 4 > end) throw new ProtocolViolation('a row that is shorter than its columns')",
    replace: 'if (at + 4 > end) return count',
    tests: UNIT,
  },
  {
    name: 'a server may say what it was not asked for',
    file: MESSAGES,
    find: 'if (!isDue) throw',
    replace: 'if (isDue === null) throw',
    tests: UNIT,
  },
  {
    name: 'a request that meets a broken protocol does not mark the database',
    file: 'src/pools/opening/pending-connections.ts',
    find: "if (errorCode(error) === 'PROTOCOL_VIOLATION')",
    replace: "if (errorCode(error) === 'NEVER')",
    tests: ['test/faults/protocol-violation.test.ts'],
  },
]
