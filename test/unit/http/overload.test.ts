import type { FastifyInstance } from 'fastify'
import { afterEach, describe, expect, it } from 'vitest'
import { bearer, makeDeps, makeServer, TOKENS } from './fakes.ts'

let server: FastifyInstance
afterEach(() => server.close())

const block = (ms: number) => {
  for (const end = performance.now() + ms; performance.now() < end; );
}
const ask = () =>
  server.inject({ url: '/api/v1/operators/x', method: 'DELETE', headers: bearer(TOKENS.viewer) })

describe('a process that is late', () => {
  it('turns nobody away for the time that it took to start', async () => {
    server = makeServer()
    void server.register((_app, _options, done) => {
      block(2_500)
      done()
    })
    await server.ready()
    for (let i = 0; i < 15; i++) {
      expect((await ask()).json().code).toBe('PERMISSION_DENIED')
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  })

  it('turns requests away once it serves', async () => {
    const { settings } = makeDeps()
    server = makeServer({ settings: { ...settings, overloadSampleMs: 500 } })
    await server.ready()
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    // One late turn is averaged away by the quick ones around it; here there are none.
    for (let turn = 0; turn < 3; turn++) {
      block(2_500)
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect((await ask()).json().detail).toBe('The service is overloaded.')
  })
})
