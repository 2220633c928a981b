// Units, the connection that they run on, and what a server answers them.

import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect } from 'vitest'
import { newId } from '../../src/lib/ids.ts'
import { TenantCheck } from '../../src/pools/wire/tenant-unit.ts'
import { WireClient } from '../../src/sql/wire/wire-client.ts'
import { type Declared, WireStatement } from '../../src/sql/wire/wire-statement.ts'
import type { Preparation, Unanswered, WireUnit } from '../../src/sql/wire/wire-unit.ts'
import {
  dataRow,
  described,
  int16,
  int32,
  message,
  ready,
  refusal,
  TEXT,
  zeroEnded,
} from './backend-messages.ts'
import { sealOf } from './seals.ts'

export const MAX_ANSWER_BYTES = 100_000
const UUID = 2950

export type Row = readonly (string | null)[]

const DECLARED: Declared = {
  columns: [
    { name: 'id', type: 'uuid' },
    { name: 'label', type: 'text' },
  ],
  parameters: ['uuid'],
}
export const FIND = statementOf('SELECT t.id AS "id", t.label AS "label" FROM t WHERE t.id = $1', DECLARED)
export const LIST = statementOf('SELECT t.id AS "id", t.label AS "label" FROM t WHERE t.owner = $1', DECLARED)

export function statementOf(text: string, declared: Declared): WireStatement {
  const statement = WireStatement.for(text, declared)
  if (statement === null) throw new Error('no name is left, or it was declared otherwise before')
  return statement
}

export class TestUnit implements WireUnit {
  readonly tenantId: string
  readonly tenantCheck: TenantCheck
  readonly statement: WireStatement
  readonly values: readonly unknown[]
  readonly rows: Record<string, unknown>[] = []
  number = ''
  preparation: Preparation | null = null
  prepares = false
  refusal: string | null = null
  /** How it has ended: once, if all is right. */
  readonly endings: (Unanswered | 'answered' | 'failed')[] = []
  /** The rows at the moment when it was answered. */
  answer: readonly Record<string, unknown>[] | null = null
  isCurrent = true

  constructor({ tenantId = newId(), statement = FIND, values = [newId()] as readonly unknown[] } = {}) {
    this.tenantId = tenantId
    const seal = sealOf({ tenantId, epoch: 1, placement: 'shared' })
    this.tenantCheck = new TenantCheck({ tenantId, epoch: 1, seal })
    this.statement = statement
    this.values = values
  }

  assertCurrent(): void {
    if (!this.isCurrent) throw new Error('the route has changed')
  }

  ended(why: Unanswered | null): void {
    this.endings.push(why ?? 'answered')
    if (why === null) this.answer = structuredClone(this.rows)
  }

  failed(): void {
    this.endings.push('failed')
  }
}

/** A socket without a network: a test says what arrives, and reads what was written. */
export class TestSocket extends EventEmitter {
  written = Buffer.alloc(0)
  writableLength = 0
  destroyed = false
  error: Error | undefined

  write(bytes: Buffer): boolean {
    if (!this.destroyed) this.written = Buffer.concat([this.written, bytes])
    return true
  }

  destroy(error?: Error): this {
    if (this.destroyed) return this
    this.destroyed = true
    this.error = error
    setImmediate(() => this.emit('close'))
    return this
  }
}

export interface WireLane {
  readonly socket: TestSocket
  readonly client: WireClient
  /** How often the client has said that it is over. */
  readonly ends: () => number
  /** Sends the units together. */
  send(...units: TestUnit[]): Promise<void>
  receive(...messages: Buffer[]): void
}

export function openLane(maxAnswerBytes = MAX_ANSWER_BYTES): WireLane {
  const socket = new TestSocket()
  let ends = 0
  const client = new WireClient(socket as unknown as Socket, { maxAnswerBytes, onEnd: () => ends++ })
  return {
    socket,
    client,
    ends: () => ends,
    send: async (...units) => {
      for (const unit of units) client.send(unit)
      await nextTurn()
    },
    receive: (...messages) => {
      if (!socket.destroyed) socket.emit('data', Buffer.concat(messages))
    },
  }
}

/** The named parts of an answer, in the order of the protocol. */
export interface Part {
  readonly name: string
  readonly bytes: Buffer
}

const part = (name: string, bytes: Buffer): Part => ({ name, bytes })

export const CLOSED = message('3')
export const PARSED = message('1')
export const BOUND = message('2')
export const PARAMETERS = message('t', int16(1), int32(UUID))
export const DESCRIBED = described([
  ['id', UUID],
  ['label', TEXT],
])
export const NOTICE = message(
  'N',
  zeroEnded('SNOTICE'),
  zeroEnded('C00000'),
  zeroEnded('Mwell'),
  Buffer.alloc(1),
)
export const NOTIFIED = message('A', int32(7), zeroEnded('channel'), zeroEnded('payload'))
export const reported = (name: string, value: string) => message('S', zeroEnded(name), zeroEnded(value))
export const completed = (rows: number) => message('C', zeroEnded(`SELECT ${rows}`))
export const refusedWith = (sqlState: string, severity = 'ERROR') =>
  refusal([`S${severity}`, `V${severity}`, `C${sqlState}`, 'Mno'])

function preparedParts(): Part[] {
  return [
    part('CloseComplete', CLOSED),
    part('ParseComplete', PARSED),
    part('ParameterDescription', PARAMETERS),
    part('RowDescription', DESCRIBED),
  ]
}

/** The seal's own value is not compared, because it was sent as it is. */
export function checkRow(unit: TestUnit): Buffer {
  return dataRow(unit.tenantId, 'seal', '', unit.number)
}

/** A right answer to a unit that was written. */
export function answerParts(unit: TestUnit, rows: readonly Row[]): Part[] {
  return [
    ...(unit.prepares ? preparedParts() : []),
    part('BindComplete of the check', BOUND),
    part('row of the check', checkRow(unit)),
    part('CommandComplete of the check', completed(1)),
    part('BindComplete', BOUND),
    ...rows.map((row, index) => part(`row ${index + 1}`, dataRow(...row))),
    part('CommandComplete', completed(rows.length)),
    part('ReadyForQuery', ready()),
  ]
}

export function bytesOf(parts: readonly Part[]): Buffer[] {
  return parts.map(({ bytes }) => bytes)
}

export function answerTo(unit: TestUnit, rows: readonly Row[]): Buffer {
  return Buffer.concat(bytesOf(answerParts(unit, rows)))
}

/** The answer to a unit that was refused after these parts of a right answer. */
export function refusalAfter(unit: TestUnit, parts: number, sqlState: string): Buffer {
  const before = answerParts(unit, []).slice(0, parts)
  return Buffer.concat([...bytesOf(before), refusedWith(sqlState), ready()])
}

export function objectsOf(rows: readonly Row[]): object[] {
  return rows.map(([id, label]) => ({ id, label }))
}

export const ROWS: readonly Row[] = [
  [newId(), 'first'],
  [newId(), null],
  [newId(), ''],
]

/** A lane that has prepared both statements, and a unit that waits for its answer there. */
export async function preparedLane(): Promise<{ lane: WireLane; unit: TestUnit }> {
  const lane = openLane()
  const [find, list] = [new TestUnit(), new TestUnit({ statement: LIST })]
  await lane.send(find, list)
  lane.receive(answerTo(find, []), answerTo(list, []))
  const unit = new TestUnit()
  await lane.send(unit)
  return { lane, unit }
}

export function expectAnswered(unit: TestUnit, rows: readonly Row[]): void {
  expect(unit.endings).toEqual(['answered'])
  expect(unit.answer).toEqual(objectsOf(rows))
}

/** No unit got an answer: the connection is closed, and each unit was told once. */
export function expectDropped(lane: WireLane, ...units: TestUnit[]): void {
  expect(lane.socket.destroyed).toBe(true)
  expect(lane.client.isOver).toBe(true)
  expect(lane.ends()).toBe(1)
  for (const unit of units) {
    expect(unit.endings).toEqual(['lost'])
    expect(unit.answer).toBeNull()
  }
}
