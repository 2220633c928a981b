import type { SeededFault } from './seeded-fault.ts'

const HANDSHAKES = ['test/http/handshakes.test.ts']
const PARSER = ['test/unit/lib/connection-string.test.ts']

/** Protections in the parsing and use of connection strings. */
export const CONNECTION_STRINGS: readonly SeededFault[] = [
  {
    name: 'a connection string may carry parameters of its own',
    file: 'src/lib/postgres/connection-parameters.ts',
    find: "if (read === undefined) return refuse(REFUSED.get(name) ?? 'PARAMETER_UNKNOWN', sayable(name))",
    replace: 'if (read === undefined) continue',
    tests: PARSER,
  },
  {
    name: 'a part of a password is taken for the name of a parameter and said in a message',
    file: 'src/lib/postgres/connection-parameters.ts',
    find: "if (query?.includes('@')) refuse('CREDENTIALS_INVALID')",
    replace: '',
    tests: PARSER,
  },
  {
    name: 'any option of the server may be given',
    file: 'src/lib/postgres/connection-parameters.ts',
    find: "return endpoint ?? refuse('OPTIONS_INVALID')",
    replace: "return endpoint ?? value ?? ''",
    tests: PARSER,
  },
  {
    name: 'channel binding is asked for and not demanded',
    file: 'src/lib/wire/handshake.ts',
    find: 'if (!isBound) refuse()',
    replace: '',
    tests: HANDSHAKES,
  },
  {
    name: 'a server that speaks TLS at once is taken for PostgreSQL',
    file: 'src/lib/wire/handshake.ts',
    find: "if (stream.alpnProtocol !== ALPN_NAME) stream.destroy(refusal('ALPN_REFUSED'))",
    replace: '',
    tests: HANDSHAKES,
  },
  {
    name: 'a certificate given with sslmode=require verifies nothing',
    file: 'src/lib/wire/server-tls.ts',
    find: "(sslMode === 'require' && caCertificate !== null)",
    replace: 'false',
    tests: HANDSHAKES,
  },
  {
    name: 'a read-only server is taken where writes are demanded',
    file: 'src/lib/postgres/guarded-client.ts',
    find: 'if (error || this.#handshake.targetSessionAttrs === undefined) doneOnce(error)',
    replace: 'if (true) doneOnce(error)',
    tests: ['test/faults/combined-faults.test.ts'],
  },
]
