import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Answer } from '../../support/fake-network.ts'
import { type Ending, type Layout, PoolWorld, pass, TENANTS, turn } from '../../support/pool-world.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

/** After any story the pools can still lend as many connections as new ones, and close in the end. */
async function expectSound(world: PoolWorld): Promise<void> {
  const { manager, network } = world
  await world.calm()
  expect(world.stuck, 'wait although there is room').toEqual([])
  expect(manager.budget.open, 'permits').toBe(network.lines.size)
  await world.rush()
  expect([...world.in('waiting'), ...world.in('holding')], 'were never served').toEqual([])
  for (const tenant of TENANTS) {
    for (let n = 0; n < world.capacity; n += 1) world.ask(tenant)
    await world.calm()
    expect(world.in('holding').length, `of tenant ${tenant} run at once`).toBe(world.capacity)
    await world.rush()
  }
  expect(await world.close(), 'closed').toBe(true)
  expect(manager.budget.open).toBe(0)
}

type Step =
  | { readonly kind: 'ask'; readonly tenant: number; readonly times: number }
  | { readonly kind: 'end'; readonly nth: number; readonly how: Ending }
  | { readonly kind: 'answer'; readonly nth: number; readonly answer: Answer }
  | { readonly kind: 'die'; readonly nth: number; readonly how: 'end' | 'shutdown' | 'reset' }
  | { readonly kind: 'pass'; readonly ms: number }
  | { readonly kind: 'resize'; readonly max: number; readonly maxPerServer: number }
  | { readonly kind: 'retire'; readonly tenant: number; readonly isReplaced: boolean }
  | { readonly kind: 'network'; readonly isUp: boolean; readonly isPrompt: boolean; readonly isDeaf: boolean }

const tenant = fc.constantFrom(...TENANTS)
const nth = fc.nat({ max: 7 })
const answer = fc.oneof(
  { weight: 8, arbitrary: fc.constant<Answer>('accept') },
  {
    weight: 1,
    arbitrary: fc.constantFrom<Answer>('hang-up', 'reset', 'another-database', 'accept-and-shutdown'),
  },
  { weight: 1, arbitrary: fc.constantFrom('53300', '28P01', '57P03').map((reject) => ({ reject })) },
)
const few = fc.integer({ min: 1, max: 5 })
const how = <T extends string>(...options: T[]) => fc.constantFrom(...options)
const kind = <K extends string, M>(
  weight: number,
  name: K,
  more: { [P in keyof M]: fc.Arbitrary<M[P]> },
) => ({
  weight,
  arbitrary: fc.record({ kind: fc.constant(name), ...more }),
})
const step = fc.oneof(
  kind(8, 'ask', { tenant, times: fc.integer({ min: 1, max: 4 }) }),
  kind(8, 'end', { nth, how: how('ok', 'ok', 'ok', 'changed', 'broken') }),
  kind(10, 'answer', { nth, answer }),
  kind(3, 'die', { nth, how: how('end', 'shutdown', 'reset') }),
  kind(7, 'pass', { ms: fc.constantFrom(1, 110, 300, 300, 450, 610, 610, 2_000, 9_000) }),
  kind(2, 'resize', { max: few, maxPerServer: few }),
  kind(2, 'retire', { tenant, isReplaced: fc.boolean() }),
  kind(2, 'network', { isUp: fc.boolean(), isPrompt: fc.boolean(), isDeaf: fc.boolean() }),
) as fc.Arbitrary<Step>
const layout: fc.Arbitrary<Layout> = fc.record({
  ...{ max: few, maxPerServer: few, poolSize: fc.integer({ min: 1, max: 4 }) },
  maxPools: fc.constantFrom(1, 2, 10, 10),
  warm: fc.array(fc.nat({ max: 3 }), { minLength: TENANTS.length, maxLength: TENANTS.length }),
})

/** How far the work of a step gets before the next step. */
const PAUSES = {
  nothing: () => undefined,
  microtask: () => Promise.resolve(),
  tick: () => new Promise<void>((resolve) => process.nextTick(resolve)),
  turn,
}
const pauses = how('nothing', 'microtask', 'microtask', 'tick', 'turn', 'turn') as fc.Arbitrary<
  keyof typeof PAUSES
>

async function act(world: PoolWorld, next: Step): Promise<void> {
  const { network } = world
  if (next.kind === 'ask') for (let n = 0; n < next.times; n += 1) world.ask(next.tenant)
  else if (next.kind === 'end') pick(world.in('holding'), next.nth)?.end(next.how)
  else if (next.kind === 'answer') network.answer(pick(network.questions, next.nth), next.answer)
  else if (next.kind === 'die') pick([...network.lines], next.nth)?.die(next.how)
  else if (next.kind === 'pass') await pass(next.ms)
  else if (next.kind === 'resize') world.resize(next)
  else if (next.kind === 'retire') world.retire(next.tenant, next.isReplaced)
  else {
    const { isUp, isPrompt, isDeaf } = next
    Object.assign(network, { isUp, isPrompt, isDeaf })
    if (isPrompt) network.answerAll()
  }
}

function pick<T>(all: readonly T[], which: number): T | undefined {
  return all[which % Math.max(1, all.length)]
}

/** More stories, or those of an earlier run. */
const { POOL_STORIES = '150', POOL_SEED } = process.env

test('in every story no request waits while there is room, no connection is lost, and everything can be closed', async () => {
  const story = fc.array(fc.tuple(step, pauses), { minLength: 5, maxLength: 40 })
  const tell = async (size: Layout, steps: [Step, keyof typeof PAUSES][]) => {
    const world = await PoolWorld.open(size)
    try {
      for (const [next, pause] of steps) {
        await act(world, next)
        await PAUSES[pause]()
      }
      await expectSound(world)
    } finally {
      vi.clearAllTimers()
      vi.restoreAllMocks()
    }
  }
  const seed = POOL_SEED === undefined ? {} : { seed: Number(POOL_SEED) }
  await fc.assert(fc.asyncProperty(layout, story, tell), { numRuns: Number(POOL_STORIES), ...seed })
}, 600_000)

describe('a connection', () => {
  test('that arrives when no request waits for it any more is not lost', async () => {
    const world = await PoolWorld.open({ warm: [1] })
    const { network } = world
    // The first has the idle one, and pg-pool puts the other in the queue for it.
    world.ask(0)
    const late = world.ask(0)
    await pass(600)
    // The server accepts it, but tells its identity slowly: together this takes longer than pg-pool waits.
    network.answerAll()
    await pass(600)
    expect(network.questions.map((question) => question.kind)).toEqual(['identity', 'startup'])
    network.answerAll()
    await turn()
    expect(late.state).toBe('holding')
    await expectSound(world)
  })

  test('that breaks when no request waits for it any more makes room for another', async () => {
    const world = await PoolWorld.open({ poolSize: 2, warm: [1] })
    const { network } = world
    const callers = [world.ask(0), world.ask(0), world.ask(0)]
    await pass(600)
    network.answerAll()
    await pass(600)
    for (const { kind, line } of network.questions) if (kind === 'identity') line.die('end')
    await world.calm()
    expect(callers.map(({ state }) => state)).toEqual(['holding', 'holding', 'waiting'])
    await expectSound(world)
  })

  test('to a silent server that no request waits for does not hold up the end', async () => {
    const world = await PoolWorld.open({ warm: [1] })
    const callers = [world.ask(0), world.ask(0)]
    await turn()
    for (const caller of callers) {
      caller.end('ok')
      await turn()
    }
    expect([world.network.lines.size, world.network.questions.length]).toEqual([2, 1])
    expect(await world.close()).toBe(true)
    expect(world.manager.budget.open).toBe(0)
  })

  test('that is given back while another is taken serves the next request', async () => {
    const world = await PoolWorld.open({ poolSize: 2, warm: [2] })
    const first = world.ask(0)
    await turn()
    world.ask(0)
    first.end('ok')
    let third = first
    queueMicrotask(() => {
      queueMicrotask(() => {
        third = world.ask(0)
      })
    })
    await turn()
    expect(third.state).toBe('holding')
    await expectSound(world)
  })

  test('that replaces a dead one does not count as pending once it is used', async () => {
    const world = await PoolWorld.open({ warm: [3] })
    for (const line of world.network.lines) line.die('reset')
    for (let n = 0; n < 3; n += 1) world.ask(0)
    await world.calm()
    expect(world.in('holding')).toHaveLength(3)
    world.ask(0)
    await pass(100)
    expect(world.in('holding')).toHaveLength(4)
    await expectSound(world)
  })
})
