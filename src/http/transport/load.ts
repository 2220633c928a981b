import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { FastifyInstance } from 'fastify'
import type { HttpSettings } from '../deps.ts'

const OVERLOAD_EVENT_LOOP_DELAY_MS = 2_000
/** Long enough that one stall, however long, is averaged away by what comes around it. */
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
    // Without a single measurement the loop has stood still.
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
    // Schemas are compiled in one go while the process starts, and the sample under way (and the one behind it) tells of
    // that: on a slow machine the first requests would be turned away for it.
    judgedFrom = performance.now() + 2 * overloadSampleMs
    done()
  })
  return load
}
