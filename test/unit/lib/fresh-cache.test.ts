import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FreshCache, type FreshCacheOptions } from '../../../src/lib/cache/fresh-cache.ts'

interface Value {
  readonly id: string
  readonly version: number
  readonly key: string
  /** The time at which its load began. */
  readonly begunAt: number
}

interface Load {
  readonly by: string
  /** Settles the load with the present value of the source, the value when the load began, or an error. */
  settle(how: 'early' | 'late' | 'outage' | 'bug'): void
}

class Outage extends Error {}

const TTL_MS = 1_000
const STALE_MS = 5_000
const NEGATIVE_MS = 300
const IDS = ['1', '2']
const KEYS = ['a', 'b', '1', '2']

type Options = Pick<FreshCacheOptions<string, Value>, 'outageOf' | 'retry' | 'needsConfirmation'>

/** A cache over a source of two values. Each has an id, and a key that may move to the other. A test settles each load. */
function setUp(options: Partial<Options> = {}) {
  const world = { now: 0, loads: [] as Load[], begun: 0 }
  const source = new Map<string, { version: number; key: string }>()
  const read = (by: string, begunAt: number): Value | null => {
    for (const [id, row] of source) if (id === by || row.key === by) return { id, ...row, begunAt }
    return null
  }
  const load = (by: string): Promise<Value | null> => {
    const { promise, resolve, reject } = Promise.withResolvers<Value | null>()
    const begunAt = world.now
    const early = read(by, begunAt)
    world.begun += 1
    const open: Load = {
      by,
      settle: (how) => {
        world.loads = world.loads.filter((one) => one !== open)
        if (how === 'outage') reject(new Outage())
        else if (how === 'bug') reject(new TypeError('a bug'))
        else resolve(how === 'early' ? early : read(by, begunAt))
      },
    }
    world.loads.push(open)
    return promise
  }
  const cache = new FreshCache<string, Value>({
    ...{ outageOf: 'all', retry: 'wait', max: 10, ...options, load },
    ...{ ttlMs: TTL_MS, maxStalenessMs: STALE_MS, negativeTtlMs: NEGATIVE_MS },
    keyOf: (by) => by,
    idOf: ({ id }) => id,
    keysOf: ({ key }) => [key],
    isId: (key) => IDS.includes(key),
    isOutage: (error) => error instanceof Outage,
    clock: { now: () => world.now, monotonic: () => world.now },
  })
  return { world, source, cache, current: (by: string) => read(by, 0) }
}

/** Runs everything that does not wait for a load. */
const settled = () => new Promise(setImmediate)

type Step =
  | { readonly do: 'ask'; readonly by: string }
  | { readonly do: 'change'; readonly id: string; readonly key: string | null }
  | { readonly do: 'settle'; readonly which: number; readonly how: 'early' | 'late' | 'outage' | 'bug' }
  | { readonly do: 'pass'; readonly ms: number }
  | { readonly do: 'clear' | 'confirm' }

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('ask' as const), by: fc.constantFrom(...KEYS) }),
  fc.record({
    do: fc.constant('change' as const),
    id: fc.constantFrom(...IDS),
    key: fc.constantFrom('a', 'b', null),
  }),
  fc.record({
    do: fc.constant('settle' as const),
    which: fc.nat(5),
    how: fc.constantFrom('early' as const, 'late' as const, 'outage' as const, 'bug' as const),
  }),
  fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(100, 300, 1_000, 4_000) }),
  fc.record({ do: fc.constantFrom('clear' as const, 'confirm' as const) }),
)

const variant: fc.Arbitrary<Options> = fc.record({
  outageOf: fc.constantFrom('all' as const, 'each' as const),
  retry: fc.constantFrom('wait' as const, 'background' as const),
  needsConfirmation: fc.boolean(),
})

/** The values that the key has had since a caller asked; null for none. The answer must be one of them. */
interface Question {
  readonly by: string
  readonly answers: Set<number | null>
}

describe('in every order of loads, changes, failures and time', () => {
  it('an answer was true after its caller asked, loads are shared, and each caller is answered', async () => {
    await fc.assert(
      fc.asyncProperty(variant, fc.array(step, { maxLength: 60 }), async (options, steps) => {
        const { world, source, cache, current } = setUp(options)
        const questions = new Set<Question>()
        let versions = 0
        let confirmedAt = Number.NEGATIVE_INFINITY

        const ask = (by: string) => {
          const question = { by, answers: new Set([current(by)?.version ?? null]) }
          questions.add(question)
          const known = cache.peek(by)
          const found = cache.find(by).then(
            (value) => expect(question.answers).toContain(value?.version ?? null),
            (error) => expect(error).toBeInstanceOf(Error),
          )
          // A value that may be used at once is the present one, because every change was announced.
          if (known !== undefined) expect(known?.version ?? null).toBe(current(by)?.version ?? null)
          if (known) expect(world.now - Math.max(known.begunAt, confirmedAt)).toBeLessThan(STALE_MS)
          return found.finally(() => questions.delete(question))
        }
        const change = (id: string, key: string | null) => {
          const taken = [...source].find(([other, row]) => other !== id && row.key === key)
          const touched = taken === undefined ? [id] : [id, taken[0]]
          if (taken !== undefined) source.delete(taken[0])
          versions += 1
          if (key === null) source.delete(id)
          else source.set(id, { version: versions, key })
          for (const one of touched) cache.invalidate(one)
          for (const { by, answers } of questions) answers.add(current(by)?.version ?? null)
        }

        const answered: Promise<void>[] = []
        for (const one of steps) {
          if (one.do === 'ask') answered.push(ask(one.by))
          else if (one.do === 'change') change(one.id, one.key)
          else if (one.do === 'settle') world.loads[one.which % (world.loads.length || 1)]?.settle(one.how)
          else if (one.do === 'pass') world.now += one.ms
          else if (one.do === 'clear') cache.clear()
          else {
            cache.confirm()
            confirmedAt = world.now
          }
          await settled()
        }
        // The remaining callers are answered once the source answers.
        for (let i = 0; world.loads.length > 0 && i < 500; i += 1) {
          world.loads[0]?.settle('late')
          await settled()
        }
        await Promise.all(answered)
        expect(questions.size).toBe(0)
      }),
      { numRuns: 1_500 },
    )
  })
})

describe('a load', () => {
  it('is shared by all concurrent callers, and not by callers after an invalidation', async () => {
    const { world, source, cache } = setUp()
    source.set('1', { version: 1, key: 'a' })
    const early = [cache.find('a'), cache.find('a')]
    await settled()
    expect(world.begun).toBe(1)
    source.set('1', { version: 2, key: 'a' })
    cache.invalidate('1')
    const late = cache.find('a')
    await settled()
    expect(world.begun).toBe(2)
    for (const load of world.loads) load.settle(load === world.loads[0] ? 'early' : 'late')
    const found = await Promise.all([...early, late])
    expect(found.map((value) => value?.version)).toEqual([2, 2, 2])
    expect(world.begun).toBe(2)
  })

  it('by an id continues when another value is invalidated', async () => {
    const { world, source, cache } = setUp()
    source.set('1', { version: 1, key: 'a' })
    const asked = cache.find('1')
    await settled()
    cache.invalidate('2')
    const again = cache.find('1')
    await settled()
    expect(world.begun).toBe(1)
    world.loads[0]?.settle('early')
    expect(await asked).toBe(await again)
    expect(cache.peekById('1')).toBe(await asked)
  })
})

describe('an outage', () => {
  async function loaded(options: Partial<Options>) {
    const parts = setUp(options)
    const { world, source, cache } = parts
    for (const [id, key] of [
      ['1', 'a'],
      ['2', 'b'],
    ] as const) {
      source.set(id, { version: 1, key })
      const found = cache.find(key)
      await settled()
      world.loads[0]?.settle('late')
      await found
    }
    world.now = TTL_MS
    const old = cache.find('a')
    await settled()
    world.loads[0]?.settle('outage')
    expect(await old).toMatchObject({ id: '1' })
    return parts
  }

  it('of one source counts for all values', async () => {
    const { cache, world } = await loaded({ outageOf: 'all' })
    expect(cache.peek('b')).toMatchObject({ id: '2' })
    expect(cache.peekById('2')).toBeUndefined()
    world.now += 1_000
    expect(cache.peek('b')).toBeUndefined()
  })

  it('of the source of one value does not count for the others', async () => {
    const { cache } = await loaded({ outageOf: 'each' })
    expect(cache.peek('a')).toMatchObject({ id: '1' })
    expect(cache.peek('b')).toBeUndefined()
  })

  it('makes no caller wait where the cache retries in the background', async () => {
    const { cache, world } = await loaded({ retry: 'background' })
    world.now += 1_000
    const { begun } = world
    for (let i = 0; i < 10; i += 1) expect(await cache.find('a')).toMatchObject({ id: '1' })
    expect(world.begun).toBe(begun + 1)
    world.loads[0]?.settle('outage')
    await settled()
    world.now = STALE_MS
    expect(cache.peek('a')).toBeUndefined()
  })
})
