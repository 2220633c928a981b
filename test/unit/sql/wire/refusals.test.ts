import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { newId } from '../../../../src/lib/ids.ts'
import { dataRow, message, ready, refusal, withLength, zeroEnded } from '../../../support/backend-messages.ts'
import {
  answerParts,
  answerTo,
  BOUND,
  bytesOf,
  completed,
  expectAnswered,
  expectDropped,
  MAX_ANSWER_BYTES,
  NOTICE,
  openLane,
  preparedLane,
  ROWS,
  type Row,
  refusalAfter,
  refusedWith,
  TestUnit,
} from '../../../support/wire-world.ts'

describe('an error', () => {
  test.each([
    ['57014', 'limit'],
    ['55P03', 'limit'],
    ['FH001', 'refused'],
    ['42501', 'refused'],
    ['22P02', 'refused'],
    ['26000', 'outdated'],
    ['0A000', 'outdated'],
    ['42P05', 'outdated'],
  ])('of SQLSTATE %s ends its unit alone, as %s', async (sqlState, why) => {
    const { lane, unit } = await preparedLane()
    const next = new TestUnit()
    await lane.send(next)
    lane.receive(refusalAfter(unit, 4, sqlState), answerTo(next, ROWS))
    expect(unit.endings).toEqual([why])
    expectAnswered(next, ROWS)
    expect(lane.client.isOutdated).toBe(why === 'outdated')
    expect(lane.client.isOver).toBe(false)
  })

  test('takes back rows that came before it', async () => {
    const { lane, unit } = await preparedLane()
    lane.receive(...bytesOf(answerParts(unit, ROWS).slice(0, 6)), refusedWith('57014'), ready())
    expect(unit.endings).toEqual(['limit'])
    expect(unit.answer).toBeNull()
  })

  test('counts also behind the last row, where a unit commits', async () => {
    const { lane, unit } = await preparedLane()
    lane.receive(...bytesOf(answerParts(unit, ROWS).slice(0, -1)), refusedWith('40001'), ready())
    expect(unit.endings).toEqual(['refused'])
  })

  test.each<[string, Buffer]>([
    ['a second one', refusedWith('42601')],
    ['a row', dataRow('a', 'b')],
    ['a completion', completed(0)],
    ['a bind', BOUND],
  ])('is followed by ready alone: %s ends the connection', async (_, after) => {
    const { lane, unit } = await preparedLane()
    lane.receive(refusedWith('42601'), after, ready())
    expectDropped(lane, unit)
  })

  test.each<[string, Buffer]>([
    ['FATAL', refusedWith('42601', 'FATAL')],
    ['PANIC', refusedWith('XX000', 'PANIC')],
    ['FATAL in a translation', refusal(['SSCHWERWIEGEND', 'VFATAL', 'C42601', 'Mno'])],
    ['FATAL of an old server', refusal(['SFATAL', 'C42601', 'Mno'])],
    ['of a shutdown, whatever it is called', refusedWith('57P01')],
    ['of a connection, whatever it is called', refusedWith('08006')],
    ['without a SQLSTATE', refusal(['SERROR', 'VERROR', 'Mno'])],
    ['with a SQLSTATE that is none', refusal(['SERROR', 'VERROR', 'Cxx', 'Mno'])],
    ['with a severity that is none', refusal(['SERROR', 'VNOTICE', 'C42601', 'Mno'])],
    ['without its end', message('E', zeroEnded('SERROR'), zeroEnded('C42601'))],
  ])('ends the connection, and all units there: %s', async (_, error) => {
    const { lane, unit } = await preparedLane()
    const next = new TestUnit()
    await lane.send(next)
    lane.receive(error, ready(), answerTo(next, ROWS))
    expectDropped(lane, unit, next)
  })
})

describe('a statement', () => {
  test('is prepared again after its Parse was refused, and units behind it run elsewhere', async () => {
    const lane = openLane()
    const [first, behind] = [new TestUnit(), new TestUnit()]
    await lane.send(first, behind)
    lane.receive(refusalAfter(first, 1, '42P01'), refusalAfter(behind, 3, '26000'))
    expect([first.endings, behind.endings]).toEqual([['refused'], ['refused']])
    expect(lane.client.isOutdated).toBe(false)
    const again = new TestUnit()
    await lane.send(again)
    expect(again.prepares).toBe(true)
    lane.receive(answerTo(again, ROWS))
    expectAnswered(again, ROWS)
  })

  test('is prepared again after its Describe was refused, although the server has it', async () => {
    const lane = openLane()
    const [first, behind] = [new TestUnit(), new TestUnit()]
    await lane.send(first, behind)
    lane.receive(refusalAfter(first, 2, '57014'), answerTo(behind, ROWS))
    expect([first.endings, behind.endings]).toEqual([['limit'], ['refused']])
    expect(behind.rows).toEqual([])
    const again = new TestUnit()
    await lane.send(again)
    expect(again.prepares).toBe(true)
    lane.receive(answerTo(again, ROWS))
    expectAnswered(again, ROWS)
  })

  test('is not sent any more once the connection is outdated', async () => {
    const { lane, unit } = await preparedLane()
    lane.receive(refusalAfter(unit, 3, '26000'))
    const next = new TestUnit()
    const before = lane.socket.written.length
    await lane.send(next)
    expect(next.endings).toEqual(['unsent'])
    expect(lane.socket.written.length).toBe(before)
  })
})

describe('the end of a connection', () => {
  test('tells each unit once: those that were written, and those that were not', async () => {
    const { lane, unit } = await preparedLane()
    const [next, unsent] = [new TestUnit(), new TestUnit()]
    await lane.send(next)
    lane.client.send(unsent)
    lane.receive(answerTo(unit, ROWS))
    lane.client.destroy(new Error('the server does not answer'))
    expect([next.endings, unsent.endings, lane.ends()]).toEqual([['lost'], ['unsent'], 1])
    await nextTurn()
    await nextTurn()
    expectAnswered(unit, ROWS)
    expect([next.endings, unsent.endings, lane.ends()]).toEqual([['lost'], ['unsent'], 1])
    const late = new TestUnit()
    await lane.send(late)
    expect(late.endings).toEqual(['unsent'])
  })

  test.each(['close', 'end'])('is noticed by %s', async (event) => {
    const { lane, unit } = await preparedLane()
    lane.socket.emit(event)
    expect([unit.endings, lane.ends()]).toEqual([['lost'], 1])
  })

  test('comes with the answer that is larger than a lane reads, of which only that unit is told', async () => {
    const { lane, unit } = await preparedLane()
    const next = new TestUnit()
    await lane.send(next)
    const large = Array.from({ length: 3 }, (): Row => [newId(), 'x'.repeat(MAX_ANSWER_BYTES / 2)])
    for (const { bytes } of answerParts(unit, large)) lane.receive(bytes)
    expect([unit.endings, next.endings]).toEqual([['large'], ['lost']])
    expect(lane.socket.error).toMatchObject({ code: 'ANSWER_TOO_LARGE' })
  })

  test('comes with a message that announces too much, before that is there', async () => {
    const { lane, unit } = await preparedLane()
    lane.receive(...bytesOf(answerParts(unit, []).slice(0, 4)))
    lane.receive(withLength(dataRow('a', 'b'), MAX_ANSWER_BYTES))
    expect(unit.endings).toEqual(['large'])
  })

  test('comes with endless notices, while it waits and while it does not', async () => {
    const { lane, unit } = await preparedLane()
    const flood = Buffer.concat(Array.from({ length: 100 }, () => NOTICE))
    for (let n = 0; n < 100; n += 1) lane.receive(flood)
    expect(unit.endings).toEqual(['large'])
    const idle = openLane()
    for (let n = 0; n < 100; n += 1) idle.receive(flood)
    expect(idle.ends()).toBe(1)
  })

  test('does not come with many answers that are each small enough', async () => {
    const { lane, unit } = await preparedLane()
    const rows: Row[] = [[newId(), 'x'.repeat(MAX_ANSWER_BYTES / 2)]]
    const more = Array.from({ length: 9 }, () => new TestUnit())
    await lane.send(...more)
    lane.receive(...[unit, ...more].map((each) => answerTo(each, rows)))
    for (const each of [unit, ...more]) expectAnswered(each, rows)
  })
})

describe('a connection that is left to another reader', () => {
  test('is heard no more, and nothing is sent on it', async () => {
    const { lane, unit } = await preparedLane()
    lane.receive(answerTo(unit, ROWS))
    expect(lane.client.release()).toBe(true)
    expect(lane.socket.eventNames()).toEqual([])
    const late = new TestUnit()
    await lane.send(late)
    expect([late.endings, lane.socket.destroyed, lane.ends()]).toEqual([['unsent'], false, 0])
  })

  test('is not left while a unit waits for its answer, or is not sent yet', async () => {
    const { lane, unit } = await preparedLane()
    expect(lane.client.release()).toBe(false)
    lane.receive(answerTo(unit, ROWS))
    const next = new TestUnit()
    lane.client.send(next)
    expect(lane.client.release()).toBe(false)
    await nextTurn()
    lane.receive(answerTo(next, ROWS))
    expectAnswered(next, ROWS)
    expect(lane.client.release()).toBe(true)
  })

  test('is not left in the middle of a message', async () => {
    const { lane, unit } = await preparedLane()
    lane.receive(answerTo(unit, ROWS), NOTICE.subarray(0, 3))
    expect(lane.client.release()).toBe(false)
    lane.receive(NOTICE.subarray(3))
    expect(lane.client.release()).toBe(true)
  })
})
