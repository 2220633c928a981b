import { describe, expect, test } from 'vitest'
import { HandlerFault } from '../../../../src/lib/wire/handler-fault.ts'
import type { Unanswered } from '../../../../src/sql/wire/wire-unit.ts'
import { message } from '../../../support/backend-messages.ts'
import { answerTo, openLane, preparedLane, ROWS, TestUnit } from '../../../support/wire-world.ts'

/** A unit whose owner throws when it is told how the unit has ended. */
class FaultyUnit extends TestUnit {
  override ended(why: Unanswered | null): void {
    super.ended(why)
    throw new TypeError('ours')
  }

  override failed(): void {
    super.failed()
    throw new TypeError('ours')
  }
}

describe('an owner of a unit that throws', () => {
  test('ends the connection as our fault, and every other unit is told', async () => {
    const lane = openLane()
    const [faulty, behind, last] = [new FaultyUnit(), new TestUnit(), new TestUnit()]
    await lane.send(faulty, behind, last)
    lane.receive(answerTo(faulty, ROWS), answerTo(behind, ROWS))
    expect(lane.socket.error).toBeInstanceOf(HandlerFault)
    expect([faulty.endings, behind.endings, last.endings]).toEqual([['answered'], ['lost'], ['lost']])
    expect([lane.client.brokeProtocol, lane.client.isOver, lane.ends()]).toEqual([false, true, 1])
  })

  test('while the connection ends keeps no other unit from being told', async () => {
    const lane = openLane()
    const reported: unknown[] = []
    lane.socket.on('error', (error) => reported.push(error))
    const [faulty, behind] = [new FaultyUnit(), new TestUnit()]
    await lane.send(faulty, behind)
    lane.client.destroy()
    expect([faulty.endings, behind.endings, lane.ends()]).toEqual([['lost'], ['lost'], 1])
    expect(reported).toEqual([expect.any(HandlerFault)])
  })

  test('does not end the process if its unit may not be sent, or cannot be', async () => {
    const values = [
      {
        toJSON: () => {
          throw new TypeError('no value')
        },
      },
    ]
    for (const faulty of [
      new FaultyUnit({ values }),
      Object.assign(new FaultyUnit(), { isCurrent: false }),
    ]) {
      const lane = openLane()
      await lane.send(faulty)
      expect(faulty.endings).toEqual([faulty.isCurrent ? 'unsent' : 'failed'])
      expect(lane.socket.error).toBeInstanceOf(HandlerFault)
    }
  })
})

test('our own code that throws while it reads a row is no violation of the server', async () => {
  const { lane, unit } = await preparedLane()
  Object.freeze(unit.rows)
  lane.receive(answerTo(unit, ROWS))
  expect(unit.endings).toEqual(['lost'])
  expect(lane.socket.error).toBeInstanceOf(HandlerFault)
  expect(lane.client.brokeProtocol).toBe(false)
})

test('a server that breaks the protocol on a lane is told from our own faults', async () => {
  const { lane } = await preparedLane()
  lane.receive(message('!', Buffer.alloc(40)))
  expect(lane.client.brokeProtocol).toBe(true)
  expect(lane.socket.error).not.toBeInstanceOf(HandlerFault)
})
