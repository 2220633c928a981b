import { Session } from 'node:inspector/promises'
import { fileURLToPath } from 'node:url'

// Loaded before the gateway (`--import`). Tells the parent process which functions of src/ ran, and in which order.

/** A function of src/ that ran since the counts were last read. */
export interface Ran {
  /** Relative to src/. */
  readonly file: string
  readonly name: string
  readonly count: number
  readonly scriptId: string
  readonly start: number
  readonly end: number
}

/**
 * `counts`: the functions that ran since the last count. `watch`: records from now on in which order functions begin. `order`:
 * the recorded order.
 */
export type Question = { ask: 'counts' } | { ask: 'watch'; functions: readonly Ran[] } | { ask: 'order' }

const src = new URL('../../../src/', import.meta.url).href
const session = new Session()
session.connect()
await session.post('Profiler.enable')
await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })

/** Indexes of the watched functions, in the order in which they began. */
const begun: number[] = []
Object.assign(globalThis, { warmPathBegun: begun })

process.on('message', (question: Question) => {
  answer(question).then(
    (answered) => process.send?.(answered),
    (error: unknown) => process.send?.({ error: String(error) }),
  )
})
// The channel to the parent must not keep a gateway running that was told to stop.
process.channel?.unref()

async function answer(question: Question): Promise<unknown> {
  if (question.ask === 'counts') return counts()
  if (question.ask === 'watch') return watch(question.functions)
  await session.post('Debugger.disable')
  return begun.splice(0)
}

async function counts(): Promise<Ran[]> {
  const { result } = await session.post('Profiler.takePreciseCoverage')
  return result
    .filter(({ url }) => url.startsWith(src))
    .flatMap(({ url, scriptId, functions }) =>
      functions.flatMap(({ functionName: name, ranges: [range] }) =>
        range === undefined || range.count === 0
          ? []
          : {
              ...{ file: fileURLToPath(url).slice(fileURLToPath(src).length), name, scriptId },
              ...{ count: range.count, start: range.startOffset, end: range.endOffset },
            },
      ),
    )
}

/** A breakpoint whose condition is never true. Its evaluation records the function. */
async function watch(functions: readonly Ran[]): Promise<number> {
  await session.post('Debugger.enable')
  const sources = new Map<string, string>()
  const taken = new Set<string>()
  for (const [i, { scriptId, start, end }] of functions.entries()) {
    const source =
      sources.get(scriptId) ?? (await session.post('Debugger.getScriptSource', { scriptId })).scriptSource
    sources.set(scriptId, source)
    // V8 calls super() a second time after a condition was evaluated in a constructor.
    if (/^(?:constructor|class)\b/.test(source.slice(start))) continue
    const range = { start: placeOf(source, start), end: placeOf(source, end) }
    const { locations } = await session.post('Debugger.getPossibleBreakpoints', {
      start: { scriptId, ...range.start },
      end: { scriptId, ...range.end },
    })
    const [location] = locations
    // If the body of a function begins with another function, both begin at the same position.
    const key = JSON.stringify(location)
    if (location === undefined || taken.has(key)) continue
    taken.add(key)
    const condition = `(warmPathBegun.push(${i}), false)`
    await session.post('Debugger.setBreakpoint', { location, condition })
  }
  return taken.size
}

function placeOf(source: string, offset: number): { lineNumber: number; columnNumber: number } {
  const before = source.slice(0, offset).split('\n')
  return { lineNumber: before.length - 1, columnNumber: before.at(-1)?.length ?? 0 }
}
