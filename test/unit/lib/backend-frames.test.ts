import { EventEmitter } from 'node:events'
import fc from 'fast-check'
import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { BackendFrames } from '../../../src/lib/wire/backend-frames.ts'
import { Step } from '../../../src/lib/wire/exchange-states.ts'
import {
  dataRow,
  described,
  int16,
  int32,
  message,
  ready,
  refusal,
  TEXT,
  withLength,
  zeroEnded,
} from '../../support/backend-messages.ts'

const LET_IN = message('R', int32(0))
const KEY = message('K', int32(4711), int32(815))
const ENCODING = message('S', zeroEnded('client_encoding'), zeroEnded('UTF8'))
const WELCOME = [LET_IN, ENCODING, KEY, ready()]
const SELECTED = message('C', zeroEnded('SELECT 1'))
const REFUSED = refusal(['SERROR', 'VERROR', 'C42601', 'Mno'])
const NOTICE = message('N', zeroEnded('SNOTICE'), zeroEnded('Mwell'), Buffer.alloc(1))
const NOTIFIED = message('A', int32(7), zeroEnded('channel'), zeroEnded(''))
const COPY_OUT = message('H', Buffer.from([0]), int16(1), int16(0))
const COPY_IN = message('G', Buffer.from([0]), int16(1), int16(0))

const texts = (...names: string[]) => described(names.map((name) => [name, TEXT]))

/** What a tenant's unit sends: a tenant check without Describe, a statement, and one Sync. */
const UNIT = [
  Step.parse,
  Step.bind,
  Step.execute,
  Step.parse,
  Step.bind,
  Step.describe,
  Step.execute,
  Step.ready,
]
const UNIT_ANSWER = [
  ...[message('1'), message('2'), dataRow(''), SELECTED],
  ...[message('1'), message('2'), texts('a', 'b'), dataRow('1', null), dataRow('', 'x'), SELECTED, ready()],
]
const SIMPLE = [Step.query, Step.ready]

function opened(...steps: Step[]): BackendFrames {
  const frames = new BackendFrames()
  frames.expect(Step.ready)
  frames.accept(Buffer.concat(WELCOME))
  for (const step of steps) frames.expect(step)
  return frames
}

interface Conversation {
  readonly steps: readonly Step[]
  readonly answer: readonly Buffer[]
}

const ORDINARY: Record<string, Conversation> = {
  'a unit': { steps: UNIT, answer: UNIT_ANSWER },
  'two units without waiting': { steps: [...UNIT, ...UNIT], answer: [...UNIT_ANSWER, ...UNIT_ANSWER] },
  'a unit whose tenant check is refused': { steps: UNIT, answer: [message('1'), REFUSED, ready()] },
  'a unit that fails at its Sync': { steps: UNIT, answer: [...UNIT_ANSWER.slice(0, -1), REFUSED, ready()] },
  'a unit after one that failed': { steps: [...UNIT, ...UNIT], answer: [REFUSED, ready(), ...UNIT_ANSWER] },
  'a statement without rows': {
    steps: [Step.close, Step.parse, Step.bind, Step.describe, Step.execute, Step.ready],
    answer: [message('3'), message('1'), message('2'), message('n'), SELECTED, ready()],
  },
  'a described statement': {
    steps: [Step.parse, Step.parameters, Step.describe, Step.ready],
    answer: [message('1'), message('t', int16(1), int32(25)), texts('a'), ready()],
  },
  'a simple query of three statements': {
    steps: SIMPLE,
    answer: [texts('a'), dataRow('1'), SELECTED, message('I'), texts(), dataRow(), SELECTED, ready()],
  },
  'a simple query that fails on the way': {
    steps: SIMPLE,
    answer: [texts('a'), dataRow('1'), SELECTED, REFUSED, ready()],
  },
  'a copy to the client': {
    steps: SIMPLE,
    answer: [COPY_OUT, message('d', Buffer.from('row')), message('c'), SELECTED, ready()],
  },
  'a copy from the client, which refuses': { steps: SIMPLE, answer: [COPY_IN, REFUSED, ready()] },
  'messages that were not asked for, at any time': {
    steps: SIMPLE,
    answer: [NOTICE, NOTIFIED, ENCODING, texts('a'), NOTICE, dataRow('1'), NOTIFIED, SELECTED, ready()],
  },
  'a server that shuts down': { steps: [], answer: [ENCODING, refusal(['SFATAL', 'C57P01'])] },
  'a long row': { steps: SIMPLE, answer: [texts('a'), dataRow('x'.repeat(200_000)), SELECTED, ready()] },
}

/** Cuts at the given positions, in thousandths of the whole. */
function cutAt(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [...new Set(places.map((place) => Math.floor((place * bytes.length) / 1_000)))].sort(
    (one, other) => one - other,
  )
  return [0, ...at].map((start, index) => bytes.subarray(start, at[index] ?? bytes.length))
}

describe('a usual answer of a server', () => {
  test.each(Object.entries(ORDINARY))('passes unchanged in one piece: %s', (_, { steps, answer }) => {
    const bytes = Buffer.concat(answer)
    // The very same buffer, not a copy.
    expect(opened(...steps).accept(bytes)).toBe(bytes)
  })

  test.each(Object.entries(ORDINARY))('passes unchanged in any pieces: %s', (_, { steps, answer }) => {
    const bytes = Buffer.concat(answer)
    const check = (places: readonly number[]) => {
      const frames = opened(...steps)
      const passed = cutAt(bytes, places).flatMap((piece) => frames.accept(piece) ?? [])
      expect(Buffer.concat(passed).equals(bytes)).toBe(true)
    }
    fc.assert(fc.property(fc.array(fc.nat(1_000), { maxLength: 12 }), check), { numRuns: 50 })
    if (bytes.length < 2_000) check(Array.from({ length: 1_000 }, (_, place) => place))
  })

  test('passes byte by byte', () => {
    const frames = opened(...UNIT)
    const bytes = Buffer.concat(UNIT_ANSWER)
    const passed = [...bytes].flatMap((byte) => frames.accept(Buffer.from([byte])) ?? [])
    expect(Buffer.concat(passed).equals(bytes)).toBe(true)
  })
})

const SASL = message('R', int32(10), zeroEnded('SCRAM-SHA-256'), Buffer.alloc(1))
const CHALLENGE = message('R', int32(11), Buffer.from('r=abc,s=QSXCR+Q6sek8bf92,i=4096'))
const PROOF = message('R', int32(12), Buffer.from('v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4='))

function starting(): BackendFrames {
  const frames = new BackendFrames()
  frames.expect(Step.ready)
  return frames
}

describe('the start of a connection', () => {
  test.each([
    ['without a password', []],
    ['with a password in clear', [message('R', int32(3))]],
    ['with MD5', [message('R', int32(5), int32(815))]],
  ])('passes %s', (_, asked) => {
    const bytes = Buffer.concat([...asked, ...WELCOME])
    expect(starting().accept(bytes)).toBe(bytes)
  })

  test('passes with SCRAM, in which the client answers in between', () => {
    const frames = starting()
    expect(frames.accept(SASL)).toBe(SASL)
    frames.saidScram()
    expect(frames.accept(CHALLENGE)).toBe(CHALLENGE)
    frames.saidScram()
    const rest = Buffer.concat([PROOF, ...WELCOME])
    expect(frames.accept(rest)).toBe(rest)
  })

  test.each<[string, Buffer[]]>([
    ['an authentication by GSSAPI', [message('R', int32(7))]],
    ['an authentication that there is not', [message('R', int32(4_000))]],
    ['clear text with something behind it', [message('R', int32(3), int32(0))]],
    ['MD5 without salt', [message('R', int32(5))]],
    ['mechanisms without an end', [message('R', int32(10), zeroEnded('SCRAM-SHA-256'))]],
    ['a challenge before the client has said anything', [SASL, CHALLENGE]],
    ['a challenge that is none', [message('R', int32(11), Buffer.from('r='))]],
    ['a proof out of nothing', [PROOF]],
    ['to be let in without the proof', [SASL, LET_IN]],
    ['to be let in twice', [LET_IN, LET_IN]],
    ['a password once in', [LET_IN, message('R', int32(3))]],
    ['a password twice', [message('R', int32(3)), message('R', int32(3))]],
    ['to be ready before letting in', [ready()]],
    ['a key before letting in', [KEY]],
    ['a parameter before letting in', [ENCODING]],
    ['a row', [LET_IN, dataRow('1')]],
    ['a short key', [LET_IN, message('K', int32(1))]],
    ['another version of the protocol', [message('v', int32(0), int32(0))]],
    ['an error that is 70 kB long', [refusal([`M${'x'.repeat(70_000)}`])]],
  ])('is refused with %s', (_, answer) => {
    expect(() => starting().accept(Buffer.concat(answer))).toThrow(
      expect.objectContaining({ code: 'PROTOCOL_VIOLATION' }),
    )
  })
})

const SIMPLE_FAULTS: Record<string, Buffer[]> = {
  'an unknown kind of message': [message('!')],
  'a kind that only replication has': [message('W', int16(0), Buffer.alloc(1))],
  'a row with fewer values than it declares': [texts('a'), message('D', int16(1))],
  'a row with more values than were described': [texts('a'), dataRow('1', '2')],
  'a row with fewer values than were described': [texts('a', 'b'), dataRow('1')],
  'a row of minus one value': [texts('a'), message('D', int16(-1))],
  'a value of length -2': [texts('a'), message('D', int16(1), int32(-2))],
  'a value that is longer than its row': [texts('a'), message('D', int16(1), int32(9), Buffer.from('x'))],
  'a row with something behind its values': [texts('a'), message('D', int16(1), int32(-1), int16(0))],
  'a row that was not described': [dataRow('1')],
  'a row behind the end': [texts('a'), SELECTED, dataRow('1')],
  'a description of a row that has begun': [texts('a'), dataRow('1'), texts('a')],
  'a description that is shorter than its columns': [
    message('T', int16(2), zeroEnded('a'), Buffer.alloc(18)),
  ],
  'a description of minus one column': [message('T', int16(-1))],
  'a name without end': [message('T', int16(1), Buffer.from('abcdefghijklmnopqrst'))],
  'an error without its end': [message('E', zeroEnded('SERROR'), zeroEnded('Mno'))],
  'an error whose text has no end': [message('E', Buffer.from('SERROR'))],
  'an error that ends before its end': [message('E', Buffer.alloc(1), zeroEnded('Mno'))],
  'a notice without its end': [message('N', Buffer.from('M'))],
  'a parameter without value': [message('S', zeroEnded('client_encoding'))],
  'a notification without end': [message('A', int32(7), zeroEnded('channel'), Buffer.from('x'))],
  'a completion without end': [message('C', Buffer.from('SELECT 1'))],
  'ready in a state that there is not': [SELECTED, message('Z', Buffer.from('x'))],
  'ready before anything was answered': [ready()],
  'ready in the middle of a row set': [texts('a'), dataRow('1'), ready()],
  'ready, and ready again': [SELECTED, ready(), ready()],
  'a key': [KEY],
  'an authentication': [LET_IN],
  'a length below its own': [withLength(ready(), 3)],
  'a length of nothing': [withLength(ready(), 0)],
  'a negative length': [withLength(dataRow('1'), -5)],
  'ready with a body of another length': [SELECTED, message('Z', Buffer.from('II'))],
  'a parse that was not asked for': [message('1')],
  'a portal that was suspended': [texts('a'), message('s')],
  'copied data out of nothing': [message('d', Buffer.from('x'))],
  'the end of a copy out of nothing': [message('c')],
  'a copy to the client without its end': [COPY_OUT, SELECTED],
  'a copy in a copy': [COPY_OUT, COPY_IN],
  'a copy with fewer columns than it declares': [message('H', Buffer.from([0]), int16(2), int16(0))],
}
const UNIT_FAULTS: Record<string, Buffer[]> = {
  'a unit that is left out': [ready()],
  'a bind before its parse': [message('2')],
  'a parse twice': [message('1'), message('1')],
  'a tenant check without its end': [...UNIT_ANSWER.slice(0, 3), message('1')],
  'a statement that is left out': [...UNIT_ANSWER.slice(0, 4), ready()],
  'a statement that was not described': [...UNIT_ANSWER.slice(0, 6), dataRow('1', '2')],
  'no rows, and a row': [...UNIT_ANSWER.slice(0, 6), message('n'), dataRow()],
}

const VIOLATION = expect.objectContaining({ code: 'PROTOCOL_VIOLATION' })

describe('a server that breaks the protocol', () => {
  test.each(Object.entries(SIMPLE_FAULTS))('is refused: %s', (_, answer) => {
    expect(() => opened(...SIMPLE).accept(Buffer.concat(answer))).toThrow(VIOLATION)
  })

  test.each(Object.entries(UNIT_FAULTS))('is refused: %s', (_, answer) => {
    expect(() => opened(...UNIT).accept(Buffer.concat(answer))).toThrow(VIOLATION)
  })

  test.each([ready(), SELECTED, texts('a'), dataRow('1'), message('1'), COPY_OUT, KEY, LET_IN])(
    'is refused if nothing was requested (%#)',
    (unasked) => {
      expect(() => opened().accept(unasked)).toThrow(VIOLATION)
    },
  )

  test('is refused for the announced length, before the bytes arrive', () => {
    expect(() => opened().accept(withLength(message('Z'), 1_000_000))).toThrow(VIOLATION)
    const frames = new BackendFrames(1_000)
    frames.expect(Step.ready)
    frames.accept(Buffer.concat(WELCOME))
    const announced = withLength(message('N'), 2_000)
    expect(() => frames.accept(announced)).toThrow(expect.objectContaining({ code: 'ANSWER_TOO_LARGE' }))
  })

  test('may send no more than the limit before it is ready', () => {
    const frames = new BackendFrames(1_000)
    frames.expect(Step.ready)
    frames.accept(Buffer.concat(WELCOME))
    for (let n = 0; n < 10; n += 1) {
      for (const step of SIMPLE) frames.expect(step)
      frames.accept(Buffer.concat([texts('a'), dataRow('x'.repeat(500)), SELECTED, ready()]))
    }
    const flood = () => {
      for (let n = 0; n < 100; n += 1) frames.accept(NOTICE)
    }
    expect(flood).toThrow(expect.objectContaining({ code: 'ANSWER_TOO_LARGE' }))
  })
})

/** Mostly valid messages of a server, with bytes changed, removed or doubled. */
const anyAnswer = fc
  .record({
    messages: fc.array(fc.constantFrom(...Object.values(ORDINARY).flatMap(({ answer }) => answer)), {
      maxLength: 12,
    }),
    changes: fc.array(fc.tuple(fc.nat(5_000), fc.nat(255)), { maxLength: 4 }),
    steps: fc.constantFrom(UNIT, SIMPLE, [...UNIT, ...SIMPLE]),
  })
  .map(({ messages, changes, steps }) => {
    const bytes = Buffer.concat(messages)
    for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value
    return { bytes, steps }
  })

/** Gives bytes to pg's parser, and returns how many of them became messages. */
function readByPg(bytes: Buffer): number {
  const source = new EventEmitter()
  const wire = new pg.Connection({ stream: source } as unknown as pg.ConnectionConfig)
  let read = 0
  wire.on('message', ({ length }: { length: number }) => {
    read += length + 1
  })
  Reflect.get(wire, 'attachListeners').call(wire, source)
  source.emit('data', bytes)
  return read
}

test('the parser of pg can read everything that passes', () => {
  let passedAny = 0
  const check = ({ bytes, steps }: { bytes: Buffer; steps: readonly Step[] }) => {
    const frames = opened(...steps)
    let passed: Buffer | null = null
    try {
      passed = frames.accept(bytes)
    } catch (error) {
      expect(error).toMatchObject({ code: 'PROTOCOL_VIOLATION' })
    }
    if (passed === null) return
    expect(readByPg(passed)).toBe(passed.length)
    passedAny += 1
  }
  fc.assert(fc.property(anyAnswer, check), { numRuns: 3_000 })
  expect(passedAny).toBeGreaterThan(50)
})
