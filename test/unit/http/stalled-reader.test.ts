import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { makeDeps, makeServer } from './fakes.ts'

const OPEN = { config: { access: { kind: 'open' } as const } }

/** Longer than a busy machine lets pass between a connection and its request. */
const STALL_TIMEOUT_MS = 5_000

test('a caller that stops reading its answer is cut off, and one that reads slowly gets it', async () => {
  const streams: Readable[] = []
  const settings = { ...makeDeps().settings, stallTimeoutMs: STALL_TIMEOUT_MS }
  const server = makeServer({ settings }, (app) => {
    app.get('/endless', OPEN, (_request, reply) => {
      const stream = Readable.from(endless(), { objectMode: false })
      streams.push(stream)
      return reply.send(stream)
    })
  })
  await server.listen({ port: 0, host: '127.0.0.1' })
  const { port } = server.server.address() as AddressInfo
  const ask = async () => {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => undefined)
    await once(socket, 'connect')
    socket.write('GET /endless HTTP/1.1\r\nHost: x\r\n\r\n')
    return socket
  }
  const [deaf, slow] = [await ask(), await ask()]
  // Reads the available bytes from time to time.
  const reading = setInterval(() => slow.read(), 50)
  deaf.pause()
  try {
    await expect.poll(() => streams.map(({ destroyed }) => destroyed)).toEqual([true, false])
  } finally {
    clearInterval(reading)
    for (const socket of [deaf, slow]) socket.destroy()
    await server.close()
  }
})

async function* endless() {
  for (;;) yield Buffer.alloc(64 * 1024)
}
