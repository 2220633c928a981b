import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { FastifyInstance } from 'fastify'
import type { HttpSettings } from '../deps.ts'

const OVERLOAD_EVENT_LOOP_DELAY_MS = 2_000
/** Long enough that one stall alone does not raise the mean above the limit. */
const OVERLOAD_SAMPLE_MS = 5_000
const RESOLUTION_MS = 10

/**
 * A process whose event loop is late by seconds must take no more requests. The sampler opens no files: reading /proc throws
 * if no descriptor is free, and an error thrown in a timer would end the process.
 */
export function watchLoad(server: FastifyInstance, settings: HttpSettings): { readonly isLate: boolean } {
  const { overloadSampleMs = OVERLOAD_SAMPLE_MS, overloadDelayMs = OVERLOAD_EVENT_LOOP_DELAY_MS } = settings
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  let judgedFrom = Number.POSITIVE_INFINITY
  const load = { isLate: false }
  const sample = () => {
    // If there is no measurement, the event loop was blocked for the whole sample.
    const delayMs = histogram.count === 0 ? Number.POSITIVE_INFINITY : histogram.mean / 1e6 - RESOLUTION_MS
    load.isLate = delayMs > overloadDelayMs && performance.now() >= judgedFrom
    histogram.reset()
  }
  histogram.enable()
  const timer = setInterval(sample, overloadSampleMs).unref()
  server.addHook('onClose', (_server, done) => {
    clearInterval(timer)
    histogram.disable()
    done()
  })
  server.addHook('onReady', (done) => {
    // Compiling schemas blocks the event loop at the start. The first two samples would show that, and on a slow machine the first
    // requests would be refused because of it. So these samples are ignored.
    judgedFrom = performance.now() + 2 * overloadSampleMs
    done()
  })
  return load
}
