import fc from 'fast-check'
import { expect, test } from 'vitest'
import { newId } from '../../../../src/lib/ids.ts'
import { dataRow, ready } from '../../../support/backend-messages.ts'
import {
  answerParts,
  BOUND,
  bytesOf,
  CLOSED,
  completed,
  DESCRIBED,
  FIND,
  LIST,
  NOTICE,
  objectsOf,
  openLane,
  PARAMETERS,
  PARSED,
  type Row,
  refusedWith,
  reported,
  TestUnit,
} from '../../../support/wire-world.ts'

/** `npm run test:long` has more. */
const RUNS = Number(process.env.FUZZ_ANSWERS ?? 1_000)
const MS_PER_RUN = 30
const TENANTS = [newId(), newId()]
const ROW = 0x44

interface Asked {
  readonly unit: TestUnit
  readonly rows: readonly Row[]
}

/** A change to all that the server says. The numbers are places in thousandths. */
type Change =
  | { readonly kind: 'bytes'; readonly flips: readonly (readonly [at: number, value: number])[] }
  | { readonly kind: 'drop' | 'double' | 'cut'; readonly at: number }
  | { readonly kind: 'move'; readonly from: number; readonly to: number }
  | { readonly kind: 'insert'; readonly message: Buffer; readonly at: number }

const text = fc.string({ minLength: 4, maxLength: 12, unit: 'grapheme-ascii' })
const anyRow = fc.tuple(fc.uuid(), fc.option(text))
const anyUnit = fc.record({
  tenant: fc.constantFrom(...TENANTS),
  isList: fc.boolean(),
  rows: fc.array(anyRow, { maxLength: 4 }),
})
const place = fc.nat(999)
const anyMessage = fc.oneof(
  anyRow.map((row) => dataRow(...row)),
  fc.nat(4).map(completed),
  fc.constantFrom(BOUND, CLOSED, PARSED, PARAMETERS, DESCRIBED, NOTICE, ready(), reported('TimeZone', 'UTC')),
  fc.constantFrom('57014', '26000', '57P01', 'FH001').map((sqlState) => refusedWith(sqlState)),
)
const anyChange: fc.Arbitrary<Change> = fc.oneof(
  fc.record({
    kind: fc.constant('bytes' as const),
    flips: fc.array(fc.tuple(place, fc.nat(255)), { minLength: 1, maxLength: 3 }),
  }),
  fc.record({ kind: fc.constantFrom('drop' as const, 'double' as const, 'cut' as const), at: place }),
  fc.record({ kind: fc.constant('move' as const), from: place, to: place }),
  fc.record({ kind: fc.constant('insert' as const), message: anyMessage, at: place }),
)

function at<T>(list: readonly T[], thousandth: number): number {
  return Math.floor((thousandth * list.length) / 1_000)
}

/** The positions of the bytes outside of values. A client cannot detect a change within a value. */
function checkableBytes(message: Buffer): number[] {
  const all = [...message.keys()]
  if (message[0] !== ROW) return all
  const free = new Set<number>()
  let next = 7
  for (let column = 0; column < message.readInt16BE(5); column += 1) {
    const size = message.readInt32BE(next)
    next += 4
    for (let n = 0; n < size; n += 1) free.add(next + n)
    next += Math.max(0, size)
  }
  return all.filter((index) => !free.has(index))
}

function changed(messages: readonly Buffer[], change: Change): Buffer {
  const list: Buffer[] = messages.map((message) => Buffer.from(message))
  switch (change.kind) {
    case 'drop':
      list.splice(at(list, change.at), 1)
      break
    case 'double': {
      const index = at(list, change.at)
      list.splice(index, 0, list[index] as Buffer)
      break
    }
    case 'move': {
      const [moved] = list.splice(at(list, change.from), 1)
      list.splice(at(list, change.to), 0, moved as Buffer)
      break
    }
    case 'insert':
      list.splice(at(list, change.at), 0, change.message)
      break
    case 'bytes':
      for (const [where, value] of change.flips) {
        const index = at(list, where)
        const places = checkableBytes(messages[index] as Buffer)
        ;(list[index] as Buffer)[places[(where * 7 + value) % places.length] as number] = value
      }
      break
    case 'cut': {
      const bytes = Buffer.concat(list)
      return bytes.subarray(0, Math.floor((change.at * bytes.length) / 1_000))
    }
  }
  return Buffer.concat(list)
}

function sorted(rows: readonly object[]): object[] {
  return rows.toSorted((one, other) => (JSON.stringify(one) < JSON.stringify(other) ? -1 : 1))
}

/** Sends the units in turns, and gives the order in which they ended. */
async function ask(units: readonly TestUnit[], perTurn: number) {
  const lane = openLane()
  const order: TestUnit[] = []
  for (const unit of units) {
    const end = unit.ended.bind(unit)
    unit.ended = (why) => {
      order.push(unit)
      end(why)
    }
  }
  for (let first = 0; first < units.length; first += perTurn)
    await lane.send(...units.slice(first, first + perTurn))
  return { lane, order }
}

test(
  'a unit gets its own rows or none, once and in order, whatever the server says',
  async () => {
    const seen = { answered: 0, unanswered: 0 }
    const property = fc.asyncProperty(
      fc.array(anyUnit, { minLength: 1, maxLength: 5 }),
      anyChange,
      fc.array(place, { maxLength: 6 }),
      fc.integer({ min: 1, max: 5 }),
      async (wanted, change, cuts, perTurn) => {
        const asked: Asked[] = wanted.map(({ tenant, isList, rows }) => ({
          unit: new TestUnit({ tenantId: tenant, statement: isList ? LIST : FIND }),
          rows,
        }))
        const units = asked.map(({ unit }) => unit)
        const { lane, order } = await ask(units, perTurn)
        const messages = asked.flatMap(({ unit, rows }) => bytesOf(answerParts(unit, rows)))
        const bytes = changed(messages, change)
        const ends = [...cuts.map((cut) => Math.floor((cut * bytes.length) / 1_000)), bytes.length]
        let begin = 0
        for (const end of ends.toSorted((one, other) => one - other)) {
          lane.receive(bytes.subarray(begin, end))
          begin = end
        }
        lane.client.destroy()
        expect(order).toEqual(units)
        expect(lane.ends()).toBe(1)
        for (const { unit, rows } of asked) {
          expect(unit.endings).toHaveLength(1)
          const isAnswered = unit.endings[0] === 'answered'
          seen[isAnswered ? 'answered' : 'unanswered'] += 1
          // The order of a unit's own rows is the server's.
          const inOrder = change.kind === 'move' ? sorted : (list: readonly object[]) => list
          expect(unit.answer && inOrder(unit.answer)).toEqual(isAnswered ? inOrder(objectsOf(rows)) : null)
        }
      },
    )
    await fc.assert(property, { numRuns: RUNS })
    // Neither all nor nothing is believed.
    expect(seen.answered).toBeGreaterThan(RUNS / 10)
    expect(seen.unanswered).toBeGreaterThan(RUNS / 10)
  },
  20_000 + RUNS * MS_PER_RUN,
)
