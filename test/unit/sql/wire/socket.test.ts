import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { connect as connectTls, createServer as createTlsServer } from 'node:tls'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { newId } from '../../../../src/lib/ids.ts'
import { encodeValue } from '../../../../src/pools/wire/tenant-unit.ts'
import { CHECK_NAME } from '../../../../src/sql/wire/unit-writer.ts'
import { WireClient } from '../../../../src/sql/wire/wire-client.ts'
import { WireStatement } from '../../../../src/sql/wire/wire-statement.ts'
import { dataRow, ready } from '../../../support/backend-messages.ts'
import { sealOf } from '../../../support/seals.ts'
import { type Certificate, makeCertificate } from '../../../support/tls-server.ts'
import {
  BOUND,
  CLOSED,
  completed,
  DESCRIBED,
  FIND,
  LIST,
  objectsOf,
  PARAMETERS,
  PARSED,
  statementOf,
  TestUnit,
} from '../../../support/wire-world.ts'

interface Bound {
  readonly statement: string
  readonly values: readonly (Buffer | null)[]
}

/** Reads what a lane sends, as strictly as PostgreSQL does, and answers each unit with its own first value. */
class ScriptedServer {
  readonly units: { prepared: string | null; check: Bound; statement: Bound }[] = []
  readonly socket: Socket
  /** How many bytes leave together. */
  pieceBytes = Number.POSITIVE_INFINITY
  /** Called before a unit is answered. Nothing more is answered if it gives false. */
  mayAnswer: () => boolean = () => true
  #bytes: Buffer = Buffer.alloc(0)
  #messages: [type: string, body: Buffer][] = []

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('error', () => undefined)
    socket.on('data', (chunk) => this.#accept(chunk))
  }

  #accept(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk])
    while (this.#bytes.length >= 5) {
      const end = 1 + this.#bytes.readInt32BE(1)
      if (this.#bytes.length < end) return
      const type = this.#bytes.toString('latin1', 0, 1)
      this.#messages.push([type, this.#bytes.subarray(5, end)])
      this.#bytes = this.#bytes.subarray(end)
      if (type === 'S') this.#answer(this.#messages.splice(0))
    }
  }

  #answer(messages: [type: string, body: Buffer][]): void {
    const types = messages.map(([type]) => type).join('')
    expect(['CPDBEBES', 'BEBES']).toContain(types)
    const bodies = messages.map(([, body]) => body)
    const prepares = types.startsWith('C')
    const prepared = prepares ? statementIn(bodies.splice(0, 3)) : null
    const [checkBody, all, body, allToo] = bodies
    expect([all, allToo]).toEqual([Buffer.alloc(5), Buffer.alloc(5)])
    const [check, statement] = [boundIn(checkBody as Buffer), boundIn(body as Buffer)]
    expect(check.statement).toBe(CHECK_NAME)
    this.units.push({ prepared, check, statement })
    if (!this.mayAnswer()) return
    const [tenantId, , , , number] = check.values.map((value) => value?.toString() ?? null)
    const [first] = statement.values
    this.#say(
      ...(prepares ? [CLOSED, PARSED, PARAMETERS, DESCRIBED] : []),
      ...[BOUND, dataRow(tenantId ?? null, 'seal', '', number ?? null), completed(1)],
      ...[BOUND, dataRow(first?.toString() ?? null, tenantId ?? null), completed(1), ready()],
    )
  }

  #say(...messages: Buffer[]): void {
    const bytes = Buffer.concat(messages)
    for (let at = 0; at < bytes.length; at += this.pieceBytes)
      this.socket.write(bytes.subarray(at, Math.min(bytes.length, at + this.pieceBytes)))
  }
}

/** The text of a Parse, whose Close and Describe are of the same name. */
function statementIn([close, parse, describe]: Buffer[]): string {
  const name = parse?.subarray(0, parse.indexOf(0)) ?? Buffer.alloc(0)
  const named = Buffer.concat([Buffer.from('S'), name, Buffer.alloc(1)])
  expect([close, describe]).toEqual([named, named])
  const rest = parse?.subarray(name.length + 1) ?? Buffer.alloc(0)
  const zero = rest.indexOf(0)
  expect(rest.subarray(zero + 1)).toEqual(Buffer.alloc(2))
  return rest.toString('utf8', 0, zero)
}

function boundIn(body: Buffer): Bound {
  const portalEnd = body.indexOf(0)
  expect(portalEnd).toBe(0)
  const nameEnd = body.indexOf(0, 1)
  expect(body.readInt16BE(nameEnd + 1)).toBe(0)
  let at = nameEnd + 5
  const values: (Buffer | null)[] = []
  for (let left = body.readUInt16BE(nameEnd + 3); left > 0; left -= 1) {
    const size = body.readInt32BE(at)
    values.push(size < 0 ? null : body.subarray(at + 4, at + 4 + size))
    at += 4 + Math.max(0, size)
  }
  expect(body.subarray(at)).toEqual(Buffer.alloc(2))
  return { statement: body.toString('latin1', 1, nameEnd), values }
}

const closing: (() => void)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

let certificate: { authority: string; server: Certificate }
beforeAll(async () => {
  certificate = await makeCertificate('wire')
})

async function openConversation({ isEncrypted = false } = {}) {
  const server = isEncrypted ? createTlsServer(certificate.server) : createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  const accepted = once(server, isEncrypted ? 'secureConnection' : 'connection') as Promise<[Socket]>
  const address = { port, host: '127.0.0.1' }
  const socket = isEncrypted ? connectTls({ ...address, ca: certificate.authority }) : connect(address)
  socket.on('error', () => undefined)
  await once(socket, isEncrypted ? 'secureConnect' : 'connect')
  const [serverSocket] = await accepted
  const over = Promise.withResolvers<void>()
  const client = new WireClient(socket, { maxAnswerBytes: 1_000_000, onEnd: over.resolve })
  closing.push(() => {
    socket.destroy()
    serverSocket.destroy()
    server.close()
  })
  return { client, scripted: new ScriptedServer(serverSocket), over: over.promise }
}

async function ended(units: readonly TestUnit[]): Promise<void> {
  while (units.some(({ endings }) => endings.length === 0)) await nextTurn()
}

describe('on a real socket', () => {
  test.each([
    ['whole', Number.POSITIVE_INFINITY, false],
    ['in pieces of 7 bytes', 7, false],
    ['byte by byte', 1, false],
    ['with TLS', Number.POSITIVE_INFINITY, true],
    ['with TLS, in pieces of 30 bytes', 30, true],
  ])('each of many units is answered with what it asked for, %s', async (_, pieceBytes, isEncrypted) => {
    const { client, scripted } = await openConversation({ isEncrypted })
    scripted.pieceBytes = pieceBytes
    scripted.socket.setNoDelay(true)
    const units: TestUnit[] = []
    for (let turn = 0; turn < 40; turn += 1) {
      const together = Array.from(
        { length: 1 + (turn % 9) },
        (_unused, n) => new TestUnit({ statement: n % 2 === 0 ? FIND : LIST }),
      )
      for (const unit of together) client.send(unit)
      units.push(...together)
      await nextTurn()
    }
    await ended(units)
    for (const unit of units) {
      expect(unit.endings).toEqual(['answered'])
      expect(unit.answer).toEqual(objectsOf([[String(unit.values[0]), unit.tenantId]]))
    }
    expect(scripted.units.map(({ prepared }) => prepared).filter((text) => text !== null)).toEqual([
      FIND.text,
      LIST.text,
    ])
  })

  test.each([
    ['is reset', (socket: Socket) => socket.resetAndDestroy()],
    ['is closed', (socket: Socket) => socket.destroy()],
    ['is ended by the server alone', (socket: Socket) => socket.end()],
  ])('each unit ends once if the connection %s', async (_, cut) => {
    const { client, scripted, over } = await openConversation()
    let left = 5
    scripted.mayAnswer = () => {
      left -= 1
      if (left === 0) cut(scripted.socket)
      return left > 0
    }
    const units = Array.from({ length: 12 }, () => new TestUnit())
    for (const unit of units) client.send(unit)
    await over
    await nextTurn()
    const endings = units.map((unit) => unit.endings)
    expect(endings.every((each) => each.length === 1)).toBe(true)
    for (const unit of units)
      expect(unit.answer).toEqual(
        unit.endings[0] === 'answered' ? objectsOf([[String(unit.values[0]), unit.tenantId]]) : null,
      )
    expect(endings.flat().slice(4)).toEqual(Array.from({ length: 8 }, () => 'lost'))
  })
})

const UNWRITABLE = {
  toJSON: () => {
    throw new Error('no text')
  },
}

describe('what is sent', () => {
  test('is the tenant check of the unit, and the values as pg encodes them', async () => {
    const { client, scripted } = await openConversation()
    const statement = statementOf('SELECT $1::text AS "id", $2::text AS "label"', FIND.declared)
    const values = [
      ...[null, undefined, '', 'text', 'ünï🙂\u0001', '\ud800', 'x'.repeat(100_000), 'é'.repeat(20_000)],
      ...[0, -1.5, 2n ** 60n, true, false, new Date(0), Buffer.from([0, 255]), Buffer.alloc(0)],
      ...[[1, null, 'a"b\\c', ['x']], [], { a: [1, 'é'] }, {}],
    ]
    const units = values.map((value) => new TestUnit({ statement, values: [newId(), value] }))
    for (const unit of units) client.send(unit)
    await ended(units)
    expect(scripted.units).toHaveLength(values.length)
    for (const [index, unit] of units.entries()) {
      const { check, statement: sent } = scripted.units[index] ?? { check: null, statement: null }
      const seal = sealOf({ tenantId: unit.tenantId, epoch: 1, placement: 'shared' }).reveal()
      expect(check?.values.map(String)).toEqual([unit.tenantId, seal, '1', 'false', unit.number])
      const encoded = encodeValue(values[index])
      expect(sent?.values).toEqual([
        Buffer.from(String(unit.values[0])),
        encoded === null ? null : Buffer.from(encoded as string),
      ])
    }
    expect(new Set(units.map(({ number }) => number)).size).toBe(units.length)
  })

  test('leaves out a unit that cannot be written, or whose route has changed, and no other', async () => {
    const { client, scripted } = await openConversation()
    const unwritable = new TestUnit({ values: [UNWRITABLE] })
    const tooMany = new TestUnit({ values: Array.from({ length: 70_000 }, () => 'x') })
    const moved = new TestUnit()
    moved.isCurrent = false
    const [before, between, after] = [new TestUnit(), new TestUnit(), new TestUnit()]
    const units = [before, unwritable, between, moved, tooMany, after]
    for (const unit of units) client.send(unit)
    await ended(units)
    expect(units.flatMap(({ endings }) => endings)).toEqual([
      ...['answered', 'unsent', 'answered', 'failed', 'unsent', 'answered'],
    ])
    expect(scripted.units.map(({ statement }) => String(statement.values[0]))).toEqual(
      [before, between, after].map(({ values }) => values[0]),
    )
  })

  test('is prepared by the first unit that is written, also if an earlier one could not be', async () => {
    const { client, scripted } = await openConversation()
    const unwritable = new TestUnit({ values: [UNWRITABLE] })
    const next = new TestUnit()
    client.send(unwritable)
    client.send(next)
    await ended([unwritable, next])
    expect([unwritable.endings, next.endings]).toEqual([['unsent'], ['answered']])
    expect(scripted.units.map(({ prepared }) => prepared)).toEqual([FIND.text])
  })

  test.each([false, true])('is not written over while the socket holds it (TLS: %s)', async (isEncrypted) => {
    const { client, scripted } = await openConversation({ isEncrypted })
    scripted.socket.pause()
    const units: TestUnit[] = []
    // More than the buffers of both sockets take.
    for (let turn = 0; turn < 40; turn += 1) {
      const unit = new TestUnit({ values: [newId().padEnd(500_000, `${turn % 10}`)] })
      units.push(unit)
      client.send(unit)
      await nextTurn()
    }
    scripted.socket.resume()
    await ended(units)
    for (const unit of units) expect(unit.endings).toEqual(['answered'])
    for (const [index, unit] of units.entries())
      expect(scripted.units[index]?.statement.values[0]?.equals(Buffer.from(String(unit.values[0])))).toBe(
        true,
      )
  })
})

test('one text is one statement, declared in one way', () => {
  const declared = { columns: [{ name: 'a', type: 'text' }], parameters: [] }
  const first = WireStatement.for('SELECT a AS "a" FROM once', declared)
  expect(WireStatement.for('SELECT a AS "a" FROM once', structuredClone(declared))).toBe(first)
  const other = { ...declared, columns: [{ name: 'a', type: 'integer' }] }
  expect(WireStatement.for('SELECT a AS "a" FROM once', other)).toBeNull()
})
