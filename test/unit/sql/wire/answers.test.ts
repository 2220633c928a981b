import { describe, expect, test } from 'vitest'
import { newId } from '../../../../src/lib/ids.ts'
import {
  answerParts,
  answerTo,
  bytesOf,
  expectAnswered,
  FIND,
  LIST,
  NOTICE,
  NOTIFIED,
  openLane,
  preparedLane,
  ROWS,
  reported,
  TestUnit,
} from '../../../support/wire-world.ts'

describe('the good course', () => {
  test('a unit gets its rows, whether it prepares its statement or not', async () => {
    const lane = openLane()
    const [first, second] = [new TestUnit(), new TestUnit()]
    await lane.send(first, second)
    expect([first.prepares, second.prepares]).toEqual([true, false])
    lane.receive(answerTo(first, ROWS), answerTo(second, []))
    expectAnswered(first, ROWS)
    expectAnswered(second, [])
  })

  test('two hundred units of many tenants get their own rows', async () => {
    const lane = openLane()
    const units = Array.from({ length: 200 }, (_, n) => new TestUnit({ statement: n % 2 ? LIST : FIND }))
    const rowsOf = new Map(
      units.map((unit) => [unit, Array.from({ length: 3 }, () => [unit.tenantId, newId()])]),
    )
    for (let at = 0; at < units.length; at += 7) {
      const together = units.slice(at, at + 7)
      await lane.send(...together)
      for (const unit of together) lane.receive(answerTo(unit, rowsOf.get(unit) ?? []))
    }
    for (const unit of units) expectAnswered(unit, rowsOf.get(unit) ?? [])
  })

  test('the answers may be cut at any byte', async () => {
    const whole = async () => {
      const lane = openLane()
      const units = [new TestUnit(), new TestUnit({ statement: LIST }), new TestUnit()]
      await lane.send(...units)
      return { lane, units, bytes: Buffer.concat(units.map((unit) => answerTo(unit, ROWS))) }
    }
    const { length } = (await whole()).bytes
    for (let at = 1; at < length; at += 1) {
      const { lane, units, bytes } = await whole()
      lane.receive(bytes.subarray(0, at))
      lane.receive(bytes.subarray(at))
      for (const unit of units) expectAnswered(unit, ROWS)
    }
    const { lane, units, bytes } = await whole()
    for (const byte of bytes) lane.receive(Buffer.from([byte]))
    for (const unit of units) expectAnswered(unit, ROWS)
  })

  test('a message that was not asked for may come between any two others', async () => {
    const { lane, unit } = await preparedLane()
    const asides = [NOTICE, NOTIFIED, reported('in_hot_standby', 'off'), reported('TimeZone', 'UTC')]
    lane.receive(...bytesOf(answerParts(unit, ROWS)).flatMap((bytes) => [...asides, bytes]), ...asides)
    expectAnswered(unit, ROWS)
    expect(lane.client.isOver).toBe(false)
  })
})
