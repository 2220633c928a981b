import type { FastifyInstance } from 'fastify'
import { afterEach, describe, expect, it } from 'vitest'
import { bearer, makeDeps, makeServer, TOKENS } from './fakes.ts'

let server: FastifyInstance
afterEach(() => server.close())

const SAMPLE_MS = 400
const LATE_MS = 500

/** As in a serving process, except for the length of a sample and the limit. */
function makeWatched(): FastifyInstance {
  const watched = { overloadSampleMs: SAMPLE_MS, overloadDelayMs: LATE_MS * 0.8 }
  return makeServer({ settings: { ...makeDeps().settings, ...watched } })
}

const block = (ms: number) => {
  for (const end = performance.now() + ms; performance.now() < end; );
}
const ask = () =>
  server.inject({ url: '/api/v1/operators/x', method: 'DELETE', headers: bearer(TOKENS.viewer) })

describe('a process whose event loop is late', () => {
  it('refuses no request because of a slow start', async () => {
    server = makeWatched()
    void server.register((_app, _options, done) => {
      block(2 * LATE_MS)
      done()
    })
    await server.ready()
    for (let i = 0; i < 15; i++) {
      expect((await ask()).json().code).toBe('PERMISSION_DENIED')
      await new Promise((resolve) => setTimeout(resolve, 40))
    }
  })

  it('refuses requests once it serves', async () => {
    server = makeWatched()
    await server.ready()
    await new Promise((resolve) => setTimeout(resolve, 2 * SAMPLE_MS + 50))
    // Fast turns around a late one lower the mean. Here there are none.
    for (let turn = 0; turn < 3; turn++) {
      block(LATE_MS)
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect((await ask()).json().detail).toBe('The service is overloaded.')
  })
})
