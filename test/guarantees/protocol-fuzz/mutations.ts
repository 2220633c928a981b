import { int16, int32, message, ready, refusal, zeroEnded } from '../../support/backend-messages.ts'
import { below, type Random } from '../../support/seeded-random.ts'

/** The server's messages in each turn. A turn is the answer to one message of the client. */
export type Turns = readonly (readonly Buffer[])[]

function pick<T>(random: Random, from: readonly T[]): T {
  return from[below(random, from.length)] as T
}

/** Messages at which pg was seen to throw or to loop, or which it accepted although they are wrong. */
const EVIL: readonly Buffer[] = [
  ...[3, 5, 7, 9, 10, 11, 12, 99].map((code) => message('R', int32(code))),
  message('R', int32(10), zeroEnded('SCRAM-SHA-256')),
  message('R', int32(10), zeroEnded('SCRAM-SHA-256'), Buffer.alloc(1)),
  message('R', int32(11), Buffer.from('r=x,s=QUJD,i=4096')),
  message('D', int16(3)),
  message('D', int16(-1)),
  message('D', int16(1), int32(-2)),
  message('D', int16(1), int32(2 ** 31 - 1)),
  message('E', zeroEnded('SERROR'), Buffer.from('Mno')),
  message('N', Buffer.from('Mno')),
  message('T', int16(-5)),
  message('T', int16(300)),
  message('G', Buffer.alloc(1), int16(9)),
  message('H', Buffer.alloc(1), int16(0)),
  ...['W', 's', 'c', 'n', 'I', '1', '2', '3', 'v', 'V', '\0', '!'].map((type) => message(type)),
  message('d', Buffer.from('data')),
  message('A', int32(1), Buffer.from('x')),
  message('S', zeroEnded('client_encoding')),
  message('Z', Buffer.from('?')),
  message('C', Buffer.from('COMMIT')),
  message('C', zeroEnded('')),
  message('K', int32(1)),
  refusal(['SFATAL', 'C57P01']),
  refusal(['SERROR', 'C26000']),
  ready(),
  Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'),
]
const LENGTHS = [0, 1, 3, 4, 5, 6, 7, 8, 255, 65_536, 2 ** 30, 2 ** 31 - 1, -1, -(2 ** 31)]

/** Changes one message, or replaces it by others. */
type Mutation = (random: Random, whole: Buffer, all: Turns) => Buffer[]

const MUTATIONS: readonly Mutation[] = [
  (random, whole) => [
    changed(whole, (bytes) => bytes.writeUInt8(below(random, 256), below(random, bytes.length))),
  ],
  (random, whole) => [changed(whole, (bytes) => setLength(bytes, pick(random, LENGTHS)))],
  (random, whole) => [changed(whole, (bytes) => setLength(bytes, whole.length - 4 + below(random, 7)))],
  (random, whole) => [whole.subarray(0, below(random, whole.length))],
  (random, whole) => {
    const cut = Buffer.from(whole.subarray(0, 5 + below(random, Math.max(1, whole.length - 5))))
    return [changed(cut, (bytes) => setLength(bytes, bytes.length - 1))]
  },
  (_, whole) => [whole, whole],
  () => [],
  (random, whole) => [changed(whole, (bytes) => bytes.write(pick(random, [...'RSKZTDCE123tnIGHdcNA'])))],
  (random, whole, all) => [pick(random, pick(random, all)), whole],
  (random, _, all) => [pick(random, pick(random, all))],
  (random, whole) => [pick(random, EVIL), whole],
  (random, whole) => [whole, pick(random, EVIL)],
  (random) => [pick(random, EVIL)],
  (random, whole) => [
    whole,
    Buffer.from(Array.from({ length: below(random, 40) }, () => below(random, 256))),
  ],
]

function changed(whole: Buffer, change: (bytes: Buffer) => void): Buffer {
  const bytes = Buffer.from(whole)
  if (bytes.length > 0) change(bytes)
  return bytes
}

function setLength(bytes: Buffer, length: number): void {
  if (bytes.length >= 5) bytes.writeInt32BE(length | 0, 1)
}

/** The turns with up to three faults in them, and each turn in pieces. */
export function mutated(turns: Turns, random: Random): Buffer[][] {
  const changing = turns.map((messages) => [...messages])
  for (let left = below(random, 20) === 0 ? 0 : 1 + below(random, 3); left > 0; left -= 1)
    mutateOne(changing, random)
  return changing.map((messages) => inPieces(Buffer.concat(messages), random))
}

function mutateOne(turns: Buffer[][], random: Random): void {
  const messages = pick(random, turns)
  const at = below(random, messages.length)
  const whole = messages[at]
  if (whole === undefined) return
  if (below(random, 15) === 0) messages.splice(below(random, messages.length), 0, ...messages.splice(at, 1))
  else
    messages.splice(
      at,
      1,
      ...pick(random, MUTATIONS)(
        random,
        whole,
        turns.filter(({ length }) => length > 0),
      ),
    )
}

function inPieces(bytes: Buffer, random: Random): Buffer[] {
  if (bytes.length === 0 || random() < 0.5) return [bytes]
  const size = 1 + below(random, random() < 0.5 ? 7 : 200)
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, n) =>
    bytes.subarray(n * size, (n + 1) * size),
  )
}
