import type { SeededFault } from './seeded-fault.ts'

const ANSWERS = 'src/sql/wire/answer-reader.ts'
const DESCRIBED = 'src/sql/wire/described-columns.ts'
const CLIENT = 'src/sql/wire/wire-client.ts'
const BROKEN = ['test/unit/sql/wire/broken-answers.test.ts']
const REFUSALS = ['test/unit/sql/wire/refusals.test.ts']
const SESSIONS = ['test/unit/sql/wire/sessions.test.ts']
const SOCKET = ['test/unit/sql/wire/socket.test.ts']
const OWN_FAULTS = ['test/unit/sql/wire/own-faults.test.ts']
const MUTATED = ['test/unit/sql/wire/mutated-answers.test.ts']

/** What keeps the answers on a lane apart, and a server that breaks the protocol from being believed. */
export const LANE_WIRE: readonly SeededFault[] = [
  {
    name: 'a message may have any length',
    file: 'src/lib/wire/backend-messages.ts',
    find: '      checkHeader(type, length)\n',
    replace: '',
    tests: [...BROKEN, 'test/unit/lib/backend-frames.test.ts'],
  },
  {
    name: 'an answer on a lane may be of any size',
    file: CLIENT,
    find: 'maxAnswerBytes: options.maxAnswerBytes',
    replace: 'maxAnswerBytes: Number.POSITIVE_INFINITY',
    tests: REFUSALS,
  },
  {
    name: 'messages on a lane may come in any order',
    file: ANSWERS,
    find: 'assertTurn(this.#due === due)',
    replace: 'this.#due = due',
    tests: BROKEN,
  },
  {
    name: 'a row on a lane may have another number of values than was described',
    file: ANSWERS,
    find: 'assertColumns(checkDataRow(bytes, start, end), count)',
    replace: 'assertColumns(checkDataRow(bytes, start, end), UNDESCRIBED)',
    tests: BROKEN,
  },
  {
    name: 'a row on a lane may be lost or doubled',
    file: ANSWERS,
    find: 'if (tag !== `SELECT ${isOfCheck ? 1 : this.#rows}`)',
    replace: "if (tag === '')",
    tests: MUTATED,
  },
  {
    name: 'a unit on a lane may leave a transaction open',
    file: ANSWERS,
    find: 'if (status !== IDLE)',
    replace: 'if (status === undefined)',
    tests: BROKEN,
  },
  {
    name: 'an error that ends a lane ends only its unit',
    file: ANSWERS,
    find: 'if (unit === undefined || isFatal)',
    replace: 'if (unit === undefined)',
    tests: REFUSALS,
  },
  {
    name: "another tenant's answer is taken for a unit's own on a lane",
    file: ANSWERS,
    find: 'if (!isText(bytes, at, tenantId)) throw',
    replace: 'if (at < 0) throw',
    tests: BROKEN,
  },
  {
    name: 'the answer to another unit of the tenant is taken on a lane',
    file: ANSWERS,
    find: 'if (!isText(bytes, at, number)) throw',
    replace: 'if (at < 0) throw',
    tests: BROKEN,
  },
  {
    name: 'columns of other types than the declared ones are read on a lane',
    file: DESCRIBED,
    find: ' || !isOfType(oid, type)) return null',
    replace: ') return null',
    tests: SESSIONS,
  },
  {
    name: 'a statement with other parameters than the declared ones runs on a lane',
    file: ANSWERS,
    find: 'preparationOf(unit).isUnfit = !isDeclared',
    replace: 'preparationOf(unit).isUnfit = isDeclared === null',
    tests: SESSIONS,
  },
  {
    name: 'a value that cannot be read shows in the error of a lane',
    file: 'src/sql/wire/row-reader.ts',
    find: "  } catch {\n    throw new ProtocolViolation('a value that its type cannot have')",
    replace: '  } catch (error) {\n    throw error',
    tests: BROKEN,
  },
  {
    name: 'a row on a lane is cut as if each character were one byte',
    file: 'src/sql/wire/row-reader.ts',
    find: 'const isAscii = whole.length === end - start',
    replace: 'const isAscii = whole.length <= end - start',
    tests: ['test/unit/sql/wire/row-reader.test.ts'],
  },
  {
    name: 'a lane goes on after a setting that its rows depend on has changed',
    file: 'src/sql/wire/reported-setting.ts',
    find: 'if (!isKept || FIXED.has(name)) throw',
    replace: 'if (zero < 0) throw',
    tests: SESSIONS,
  },
  {
    name: 'the rows of a unit that was refused on a lane are given to it',
    file: CLIENT,
    find: 'if (refusal === null && !isUnfit',
    replace: 'if (!isUnfit',
    tests: REFUSALS,
  },
  {
    name: 'a statement that a lane could not prepare is taken for prepared',
    file: CLIENT,
    find: 'known !== undefined && !known.hasFailed',
    replace: 'known !== undefined',
    tests: REFUSALS,
  },
  {
    name: 'a lane that holds other statements than we believe goes on',
    file: CLIENT,
    find: 'this.isOutdated = true',
    replace: 'this.isOutdated = false',
    tests: REFUSALS,
  },
  {
    name: 'a unit that is answered is told again when its lane ends',
    file: CLIENT,
    find: 'this.#written.splice(0).slice(this.#head)',
    replace: 'this.#written.splice(0)',
    tests: REFUSALS,
  },
  {
    name: 'a unit that waits for its turn is not told when its lane ends',
    file: CLIENT,
    find: "for (const unit of unsent) this.#told(() => unit.ended('unsent'))",
    replace: '',
    tests: REFUSALS,
  },
  {
    name: 'a fault of ours on a lane is blamed on the server',
    file: CLIENT,
    find: 'this.brokeProtocol = error instanceof ProtocolViolation',
    replace: 'this.brokeProtocol = error !== null',
    tests: OWN_FAULTS,
  },
  {
    name: 'an owner of a unit that throws keeps the units behind it waiting',
    file: CLIENT,
    find: 'else this.destroy(new HandlerFault(error))',
    replace: '',
    tests: OWN_FAULTS,
  },
  {
    name: 'a unit is sent on a lane although its route has changed',
    file: CLIENT,
    find: '      unit.assertCurrent()\n',
    replace: '',
    tests: SOCKET,
  },
  {
    name: 'what the socket of a lane still holds is written over',
    file: CLIENT,
    find: 'if (this.#socket.writableLength > 0) this.#writer.leave()',
    replace: '',
    tests: SOCKET,
  },
  {
    name: 'a lane prepares a statement under a name that may be taken',
    file: 'src/sql/wire/frontend-messages.ts',
    find: "    message('C', ...named),\n",
    replace: '',
    tests: ['test/pools/lane-server.test.ts'],
  },
]
