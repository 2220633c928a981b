import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { newId } from '../../../../src/lib/ids.ts'
import {
  dataRow,
  described,
  int16,
  int32,
  message,
  ready,
  withLength,
  zeroEnded,
} from '../../../support/backend-messages.ts'
import {
  answerParts,
  answerTo,
  BOUND,
  bytesOf,
  CLOSED,
  checkRow,
  completed,
  expectAnswered,
  expectDropped,
  LIST,
  objectsOf,
  openLane,
  PARSED,
  type Part,
  preparedLane,
  ROWS,
  refusedWith,
  statementOf,
  TestUnit,
} from '../../../support/wire-world.ts'

/** A change to one message that no server may make. */
type Break = readonly [how: string, change: (bytes: Buffer) => Buffer | null]

function shorter(bytes: Buffer): Buffer | null {
  return bytes.length > 5 ? withLength(bytes.subarray(0, -1), bytes.length - 2) : null
}

function ofType(bytes: Buffer, type: string): Buffer {
  const changed = Buffer.from(bytes)
  changed.write(type, 'latin1')
  return changed
}

const TYPES = [...'123ACDEGHIKNRSTVWZcdnstv!', '\0']
const BREAKS: readonly Break[] = [
  ['is left out', () => Buffer.alloc(0)],
  ['comes twice', (bytes) => Buffer.concat([bytes, bytes])],
  ['is a byte shorter, and says so', shorter],
  [
    'is a byte longer, and says so',
    (bytes) => withLength(Buffer.concat([bytes, Buffer.from('x')]), bytes.length),
  ],
  [
    'is a zero byte longer, and says so',
    (bytes) => withLength(Buffer.concat([bytes, Buffer.alloc(1)]), bytes.length),
  ],
  ['says that it is a byte longer', (bytes) => withLength(bytes, bytes.length)],
  ['says that it is a byte shorter', (bytes) => withLength(bytes, bytes.length - 2)],
  ['says that it has no length', (bytes) => withLength(bytes, 0)],
  ['says that it is endless', (bytes) => withLength(bytes, 0x7fff_ffff)],
  ['has a negative length', (bytes) => withLength(bytes, -1)],
  ...TYPES.map(
    (type): Break => [
      `is of type ${JSON.stringify(type)}`,
      (bytes) => (bytes[0] === type.charCodeAt(0) ? null : ofType(bytes, type)),
    ],
  ),
  ['is only a ReadyForQuery', ready],
]

async function brokenAt(index: number, change: (bytes: Buffer) => Buffer | null) {
  const lane = openLane()
  const [unit, next] = [new TestUnit(), new TestUnit({ statement: LIST })]
  await lane.send(unit, next)
  const parts = answerParts(unit, ROWS)
  const changed = change(parts[index]?.bytes ?? Buffer.alloc(0))
  if (changed === null || changed.equals(parts[index]?.bytes ?? changed)) return null
  const bytes = parts.map((each, at) => (at === index ? changed : each.bytes))
  return { lane, unit, next, bytes: Buffer.concat(bytes) }
}

function partNames(): [number, string][] {
  const unit = new TestUnit()
  unit.prepares = true
  return answerParts(unit, ROWS).map(({ name }: Part, index) => [index, name])
}

describe('a message that is wrong', () => {
  // A message with too great a length swallows the next messages. The error shows only when those are missing.
  const lastIndex = partNames().length - 1
  test.each(partNames())('ends the connection before a row is believed: %i, %s', async (index) => {
    for (const [how, change] of BREAKS) {
      const broken = await brokenAt(index, change)
      if (broken === null) continue
      const { lane, unit, next, bytes } = broken
      lane.receive(bytes)
      lane.receive(answerTo(next, [[newId(), 'next']]))
      lane.client.destroy()
      await nextTurn()
      // A fault after the complete answer does not change the answer.
      if (index === lastIndex) expect([objectsOf(ROWS), null], how).toContainEqual(unit.answer)
      else expect(unit.endings, how).not.toEqual(['answered'])
      expect(unit.endings, how).toHaveLength(1)
      expect(next.endings, how).toEqual(['lost'])
      expect(lane.socket.destroyed, how).toBe(true)
    }
  })

  test.each<[string, (unit: TestUnit) => Buffer[]]>([
    ['another tenant', (unit) => [dataRow(newId(), 'seal', '', unit.number)]],
    ['no tenant', (unit) => [dataRow(null, 'seal', '', unit.number)]],
    ['a tenant and something behind it', (unit) => [dataRow(`${unit.tenantId}x`, 'seal', '', unit.number)]],
    ['the beginning of a tenant', (unit) => [dataRow(unit.tenantId.slice(0, -1), 'seal', '', unit.number)]],
    ['another unit', (unit) => [dataRow(unit.tenantId, 'seal', '', '00000000')]],
    ['no unit', (unit) => [dataRow(unit.tenantId, 'seal', '', null)]],
    ['too little', (unit) => [dataRow(unit.tenantId, 'seal', '')]],
    ['too much', (unit) => [dataRow(unit.tenantId, 'seal', '', unit.number, 'more')]],
    ['nothing', () => []],
    ['itself twice', (unit) => [checkRow(unit), checkRow(unit)]],
  ])('ends the connection: a tenant check that names %s', async (_, rowsOf) => {
    const { lane, unit } = await preparedLane()
    lane.receive(BOUND, ...rowsOf(unit), ...bytesOf(answerParts(unit, ROWS).slice(2)))
    expectDropped(lane, unit)
  })

  test('ends the connection: the answer to another unit of the same tenant', async () => {
    const { lane, unit } = await preparedLane()
    const other = new TestUnit({ tenantId: unit.tenantId })
    await lane.send(other)
    lane.receive(answerTo(other, ROWS), answerTo(unit, []))
    expectDropped(lane, unit, other)
  })

  test.each<[string, Buffer[]]>([
    ['one value too few', [dataRow('a')]],
    ['one value too many', [dataRow('a', 'b', 'c')]],
    [
      'values that are shorter than it',
      [message('D', int16(2), int32(1), Buffer.from('a'), int32(1), Buffer.from('bc'))],
    ],
    [
      'a value that is longer than it',
      [message('D', int16(2), int32(1), Buffer.from('a'), int32(9), Buffer.from('b'))],
    ],
    ['a value of negative length', [message('D', int16(2), int32(1), Buffer.from('a'), int32(-2))]],
    ['a negative number of values', [message('D', int16(-2))]],
  ])('ends the connection: a row with %s', async (_, rows) => {
    const { lane, unit } = await preparedLane()
    const before = bytesOf(answerParts(unit, []).slice(0, 4))
    lane.receive(...before, ...rows, completed(rows.length), ready())
    expectDropped(lane, unit)
  })

  test.each<[string, Buffer]>([
    ['fewer rows than were sent', completed(2)],
    ['more rows than were sent', completed(4)],
    ['something else than rows', message('C', zeroEnded('UPDATE 3'))],
    ['rows, and something behind them', message('C', zeroEnded('SELECT 3 '))],
    ['no number', message('C', zeroEnded('SELECT'))],
  ])('ends the connection: a completion of %s', async (_, completion) => {
    const { lane, unit } = await preparedLane()
    const parts = answerParts(unit, ROWS).map(({ name, bytes }) =>
      name === 'CommandComplete' ? completion : bytes,
    )
    lane.receive(...parts)
    expectDropped(lane, unit)
  })

  test.each([...'TEX'])('ends the connection: ready in state %s', async (state) => {
    const { lane, unit } = await preparedLane()
    lane.receive(...bytesOf(answerParts(unit, ROWS).slice(0, -1)), message('Z', Buffer.from(state)))
    expectDropped(lane, unit)
  })

  test.each<[string, Buffer]>([
    ['a row', dataRow('a', 'b')],
    ['ready', ready()],
    ['a completion', completed(0)],
    ['a bind', BOUND],
    ['a parse', PARSED],
    ['an error', refusedWith('42601')],
    ['a warning as an error', refusedWith('57P01', 'FATAL')],
    ['an authentication', message('R', int32(0))],
    ['a key', message('K', int32(1), int32(2))],
    ['a copy', message('H', Buffer.from([0]), int16(0))],
  ])('ends the connection: %s that nothing was asked for', async (_, unasked) => {
    const { lane, unit } = await preparedLane()
    lane.receive(answerTo(unit, ROWS))
    lane.receive(unasked)
    expectAnswered(unit, ROWS)
    expectDropped(lane)
  })

  test('ends the connection: a value that its type cannot have, whose text is in no error', async () => {
    const json = statementOf('SELECT j AS "j" FROM t', {
      columns: [{ name: 'j', type: 'jsonb' }],
      parameters: [],
    })
    const lane = openLane()
    const unit = new TestUnit({ statement: json, values: [] })
    await lane.send(unit)
    lane.receive(CLOSED, PARSED, message('t', int16(0)), described([['j', 3802]]))
    lane.receive(BOUND, checkRow(unit), completed(1), BOUND, dataRow('{"half": "secret'))
    expectDropped(lane, unit)
    expect(lane.socket.error).toMatchObject({ code: 'PROTOCOL_VIOLATION' })
    expect(JSON.stringify(lane.socket.error, Object.getOwnPropertyNames(lane.socket.error))).not.toContain(
      'secret',
    )
  })
})
