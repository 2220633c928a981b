import type { Socket } from 'node:net'
import pg from 'pg'
import {
  bindHead,
  EXECUTE,
  int32,
  message,
  RESULTS_AS_TEXT,
  SYNC,
} from '../../src/sql/wire/frontend-messages.ts'

/** What pgbench does with `-M prepared`, for machines without it: one prepared statement, over and over, on each connection. */
export interface RawStatements {
  readonly url: string
  readonly text: string
  /** The parameters of each run, taken in turns. */
  readonly values: readonly (readonly string[])[]
  readonly clients: number
  readonly seconds: number
}

const STATEMENT = 'raw'
const READY = Buffer.from([0x5a, 0, 0, 0, 5, 0x49])
const MS = 1_000

/** Returns how many statements were answered. pg only logs in; after that, bytes made beforehand go to the socket. */
export async function runRawStatements({
  url,
  text,
  values,
  clients,
  seconds,
}: RawStatements): Promise<number> {
  const frames = values.map(runFrame)
  const ends = performance.now() + seconds * MS
  const counts = await Promise.all(
    Array.from({ length: clients }, async () => {
      const client = new pg.Client({ connectionString: url })
      await client.connect()
      // pg prepares it, so that a wrong statement is an ordinary error.
      await client.query({ name: STATEMENT, text, values: [...(values[0] ?? [])] })
      return repeat(socketOf(client), frames, ends)
    }),
  )
  return counts.reduce((sum, count) => sum + count, 0)
}

/** pg's types keep the connection to themselves. */
function socketOf(client: pg.Client): Socket {
  return (client as unknown as { connection: { stream: Socket } }).connection.stream
}

function repeat(socket: Socket, frames: readonly Buffer[], ends: number): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  let count = 0
  const send = () => socket.write(frames[count % frames.length] ?? '')
  socket.removeAllListeners('data').on('data', (chunk: Buffer) => {
    // One statement at a time: the answer is complete when the server is ready for the next one.
    if (chunk.compare(READY, 0, READY.length, Math.max(0, chunk.length - READY.length)) !== 0) return
    count += 1
    if (performance.now() < ends) send()
    else {
      socket.destroy()
      resolve(count)
    }
  })
  socket
    .removeAllListeners('close')
    .once('close', () => reject(new Error('the server closed the connection')))
  send()
  return promise
}

/** Bind, Execute and Sync. */
function runFrame(values: readonly string[]): Buffer {
  const count = Buffer.from([0, values.length])
  const parameters = values.flatMap((value) => [int32(Buffer.byteLength(value)), Buffer.from(value)])
  const bind = message('B', bindHead(STATEMENT), count, ...parameters, RESULTS_AS_TEXT)
  return Buffer.concat([bind, EXECUTE, SYNC])
}
