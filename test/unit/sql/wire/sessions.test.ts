import { describe, expect, test } from 'vitest'
import { dataRow, described, int16, int32, message, ready } from '../../../support/backend-messages.ts'
import {
  answerParts,
  answerTo,
  BOUND,
  bytesOf,
  CLOSED,
  checkRow,
  completed,
  DESCRIBED,
  expectAnswered,
  expectDropped,
  openLane,
  PARAMETERS,
  PARSED,
  preparedLane,
  ROWS,
  reported,
  TestUnit,
} from '../../../support/wire-world.ts'

describe('settings that the server reports', () => {
  test.each([
    ['DateStyle', 'German, DMY'],
    ['TimeZone', 'Europe/Amsterdam'],
    ['client_encoding', 'LATIN1'],
    ['search_path', 'public'],
    ['standard_conforming_strings', 'off'],
    ['is_superuser', 'on'],
    ['session_authorization', 'postgres'],
  ])('end the connection if rows may no longer be what they were: %s = %s', async (name, value) => {
    const { lane, unit } = await preparedLane()
    lane.receive(BOUND, reported(name, value), ...bytesOf(answerParts(unit, ROWS).slice(1)))
    expectDropped(lane, unit)
  })

  test('are heard otherwise', async () => {
    const { lane, unit } = await preparedLane()
    lane.receive(reported('DateStyle', 'ISO, MDY'), reported('search_path', 'pg_catalog, public, pg_temp'))
    lane.receive(reported('default_transaction_read_only', 'on'), reported('scram_iterations', '1'))
    lane.receive(answerTo(unit, ROWS))
    expectAnswered(unit, ROWS)
  })
})

describe('what the server describes', () => {
  async function describedAs(parameters: Buffer, columns: Buffer, rows: Buffer[]) {
    const lane = openLane()
    const [unit, next] = [new TestUnit(), new TestUnit()]
    await lane.send(unit, next)
    lane.receive(CLOSED, PARSED, parameters, columns)
    for (const each of [unit, next])
      lane.receive(BOUND, checkRow(each), completed(1), BOUND, ...rows, completed(rows.length), ready())
    return { lane, unit, next }
  }

  test.each<[string, Buffer, Buffer, Buffer]>([
    [
      'another type',
      PARAMETERS,
      described([
        ['id', 2950],
        ['label', 1043],
      ]),
      dataRow('a', 'b'),
    ],
    [
      'another name',
      PARAMETERS,
      described([
        ['id', 2950],
        ['name', 25],
      ]),
      dataRow('a', 'b'),
    ],
    [
      'another order',
      PARAMETERS,
      described([
        ['label', 25],
        ['id', 2950],
      ]),
      dataRow('a', 'b'),
    ],
    [
      'a column more',
      PARAMETERS,
      described([
        ['id', 2950],
        ['label', 25],
        ['more', 25],
      ]),
      dataRow('a', 'b', 'c'),
    ],
    ['a column less', PARAMETERS, described([['id', 2950]]), dataRow('a')],
    ['no column', PARAMETERS, described([]), dataRow()],
    ['another parameter', message('t', int16(1), int32(23)), DESCRIBED, dataRow('a', 'b')],
    ['a parameter more', message('t', int16(2), int32(2950), int32(25)), DESCRIBED, dataRow('a', 'b')],
    ['no parameter', message('t', int16(0)), DESCRIBED, dataRow('a', 'b')],
  ])('is not believed if it is not as declared: %s', async (_, parameters, columns, row) => {
    const { lane, unit, next } = await describedAs(parameters, columns, [row])
    expect([unit.endings, next.endings]).toEqual([['unfit'], ['unfit']])
    expect([...unit.rows, ...next.rows]).toEqual([])
    expect(lane.client.isOver).toBe(false)
    const later = new TestUnit()
    await lane.send(later)
    lane.receive(BOUND, checkRow(later), completed(1), BOUND, row, completed(1), ready())
    expect(later.endings).toEqual(['unfit'])
  })

  test('holds for its rows also where it is not as declared', async () => {
    const columns = described([['id', 2950]])
    const { lane, unit, next } = await describedAs(PARAMETERS, columns, [dataRow('a', 'b')])
    expectDropped(lane, unit, next)
  })

  test('ends the connection if it has chosen a binary format', async () => {
    const columns = described([
      ['id', 2950, 1],
      ['label', 25],
    ])
    const { lane, unit, next } = await describedAs(PARAMETERS, columns, [dataRow('a', 'b')])
    expectDropped(lane, unit, next)
  })
})
