import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { HandlerFault } from '../../../src/lib/wire/handler-fault.ts'
import { type Attempt, blameFor, PasswordUnavailableError } from '../../../src/pools/opening/attempt.ts'
import { type Attempts, Breakers } from '../../../src/pools/opening/breakers.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)
const coded = (code: string, cause?: unknown) => Object.assign(new Error('x', { cause }), { code })
const sqlState = (code: string) => Object.assign(coded(code), { severity: 'FATAL' })
const refused = coded('ECONNREFUSED')
const timedOut = new Error('a timeout has no code')
const heard = { wasHeard: true, wasHungUp: false }
const unheard = { wasHeard: false, wasHungUp: false }

describe('a failed attempt is counted', () => {
  test.each([
    ['against the server', 'server', refused],
    ['against the server', 'server', coded('DNS_FAILED')],
    ['against the server', 'server', sqlState('57P03')],
    ['against the database', 'database', sqlState('3D000')],
    ['against the database', 'database', sqlState('53300')],
    ['against the database', 'database', new Error('could not connect', { cause: sqlState('55000') })],
    ['against the database', 'database', coded('HOST_NOT_ALLOWED')],
    ['as a denial', 'denied', sqlState('28P01')],
    ['as a denial', 'denied', sqlState('28000')],
    [
      'against us',
      'ourselves',
      new PasswordUnavailableError(coded('CATALOG_UNAVAILABLE', sqlState('57P03'))),
    ],
    ['against us', 'ourselves', new HandlerFault(refused)],
  ])('%s (%s) by its code, %s', (_title, blame, error) => {
    expect(blameFor(error, unheard, 0)).toBe(blame)
  })

  test('against the database if the server had begun to answer', () => {
    for (const error of [coded('ECONNRESET'), coded('CERT_HAS_EXPIRED'), new Error('silent since')]) {
      expect(blameFor(error, heard, 5_000)).toBe('database')
    }
    expect(blameFor(sqlState('57P03'), heard, 0)).toBe('server')
  })

  test('against the server if it was silent for three seconds, or hung up; not if we waited less', () => {
    expect(blameFor(timedOut, unheard, 3_000)).toBe('server')
    expect(blameFor(timedOut, unheard, 2_000)).toBe('database')
    expect(blameFor(timedOut, { wasHeard: false, wasHungUp: true }, 10)).toBe('server')
  })
})

let sequence = 0

/** For how long a pending attempt stops others to the same server. */
const COUNTED_FOR_MS = 600

/** Records the attempts to reach one server, or one database. Events are numbered in their order. */
class Witness {
  readonly #mostUnproven: number
  readonly #countedForMs: number
  failedAt = 0
  answeredAt = 0
  failedAtMs = 0
  answeredAtMs = Number.NEGATIVE_INFINITY
  /** The pending attempts by number, and when they began. */
  readonly pending = new Map<number, number>()

  /** How many attempts may be pending if it has not answered for a second. Attempts older than `countedForMs` do not count. */
  constructor(mostUnproven: number, countedForMs = Number.POSITIVE_INFINITY) {
    this.#mostUnproven = mostUnproven
    this.#countedForMs = countedForMs
  }

  begin(at: number): void {
    if (this.failedAt > this.answeredAt) {
      const probes = [...this.pending.keys()].filter((begun) => begun > this.failedAt)
      expect(probes, 'one probe').toEqual([])
      expect(performance.now() - this.failedAtMs, 'no sooner than the delay').toBeGreaterThanOrEqual(349)
    }
    const now = performance.now()
    this.pending.set(at, now)
    if (this.failedAt > this.answeredAt || now - this.answeredAtMs < 1_000) return
    const counted = [...this.pending.values()].filter((begunAt) => now - begunAt < this.#countedForMs)
    expect(counted.length).toBeLessThanOrEqual(this.#mostUnproven)
  }

  fail(begun: number): void {
    // An attempt that began before the last failure says nothing new.
    if (begun < this.failedAt) return
    this.failedAt = ++sequence
    this.failedAtMs = performance.now()
  }

  answer(): void {
    this.answeredAt = ++sequence
    this.answeredAtMs = performance.now()
  }
}

/** A small pool: `wants` requests want a connection, and it begins as many attempts as allowed. */
class FakePool {
  readonly #attempts: Attempts
  readonly #server: Witness
  readonly #database = new Witness(3)
  readonly attempts: { attempt: Attempt; begun: number }[] = []
  /** When each attempt began. */
  readonly begunAtMs: number[] = []
  readonly #wake = () => this.pulse()
  wants = 0

  constructor(attempts: Attempts, server: Witness) {
    this.#attempts = attempts
    this.#server = server
  }

  pulse(): void {
    while (this.wants > this.attempts.length && this.#attempts.room > 0) this.#begin()
    if (this.wants > this.attempts.length) this.#attempts.onceChanged(this.#wake)
  }

  /** How long its oldest attempt has been pending. */
  get oldestMs(): number {
    const begun = this.attempts[0]?.begun ?? 0
    return performance.now() - (this.#server.pending.get(begun) ?? performance.now())
  }

  settle(outcome: 'success' | 'refused' | 'silent' | 'denied' | 'full'): void {
    const [first] = this.attempts.splice(0, 1)
    if (first === undefined) return
    const { attempt, begun } = first
    const waitedMs = performance.now() - (this.#server.pending.get(begun) ?? 0)
    for (const witness of [this.#server, this.#database]) witness.pending.delete(begun)
    if (outcome === 'refused') {
      this.#server.fail(begun)
      attempt.failed(refused, unheard)
    } else if (outcome === 'silent') {
      const blamed = waitedMs < 2_950 ? this.#database : this.#server
      blamed.fail(begun)
      attempt.failed(timedOut, unheard)
    } else {
      this.#server.answer()
      if (outcome === 'success') this.#succeed(attempt, begun)
      else {
        this.#database.fail(begun)
        attempt.failed(sqlState(outcome === 'denied' ? '28P01' : '53300'), heard)
      }
    }
    this.pulse()
  }

  answered(): void {
    for (const witness of [this.#server, this.#database]) witness.answer()
  }

  #succeed(attempt: Attempt, begun: number): void {
    this.wants -= 1
    attempt.succeeded()
    if (begun > this.#database.failedAt) this.#database.answer()
  }

  #begin(): void {
    const begun = ++sequence
    this.#server.begin(begun)
    this.#database.begin(begun)
    this.begunAtMs.push(performance.now())
    this.attempts.push({ attempt: this.#attempts.begin(), begun })
    expect(this.attempts.length).toBeLessThanOrEqual(3)
  }
}

/** The largest number of them within one second. */
const busiestSecond = (times: readonly number[]) =>
  Math.max(...times.map((from) => times.filter((at) => at >= from && at < from + 1_000).length))

function setUp(servers: readonly string[]) {
  const breakers = new Breakers()
  const witnesses = new Map(servers.map((server) => [server, new Witness(1, COUNTED_FOR_MS)]))
  const pools = servers.map((server, n) => {
    return new FakePool(breakers.attemptsTo(server, `${n}`), witnesses.get(server) as Witness)
  })
  return { breakers, pools }
}

describe('the breakers', () => {
  test('let one probe begin, one attempt to an unproven server, and starve no pool', async () => {
    const servers = ['a', 'a', 'a', 'b']
    const outcome = fc.constantFrom(
      'success' as const,
      'refused' as const,
      'silent' as const,
      'denied' as const,
      'full' as const,
    )
    const step = fc.oneof(
      fc.record({
        kind: fc.constant('want' as const),
        pool: fc.nat(3),
        count: fc.integer({ min: 1, max: 5 }),
      }),
      fc.record({ kind: fc.constant('settle' as const), pool: fc.nat(3), outcome }),
      fc.record({
        kind: fc.constant('tick' as const),
        pool: fc.nat(3),
        ms: fc.integer({ min: 1, max: 3_000 }),
      }),
      fc.record({ kind: fc.constant('ping' as const), pool: fc.nat(3) }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const { breakers, pools } = setUp(servers)
        for (const one of steps) {
          const pool = pools[one.pool] as FakePool
          if (one.kind === 'want') {
            pool.wants += one.count
            pool.pulse()
          } else if (one.kind === 'settle') pool.settle(one.outcome)
          else if (one.kind === 'tick') await pass(one.ms)
          else {
            pool.answered()
            breakers.answered(servers[one.pool] as string, `${one.pool}`)
          }
          await pass(0)
        }
        for (let round = 0; round < 200 && pools.some(({ wants }) => wants > 0); round += 1) {
          for (const pool of pools) pool.settle('success')
          await pass(10_000)
        }
        expect(pools.map(({ wants }) => wants)).toEqual([0, 0, 0, 0])
        expect(breakers.failing).toEqual({ server: 0, database: 0 })
      }),
      { numRuns: 150 },
    )
  })
  test('let a dead server be tried twice a second at most, however many databases it has', async () => {
    const { pools } = setUp(Array(50).fill('a'))
    for (let now = 0; now < 60_000; now += 50) {
      for (const pool of pools) {
        pool.wants = 10
        pool.pulse()
        for (const _ of [...pool.attempts]) pool.settle('refused')
      }
      await pass(50)
    }
    const begun = pools.flatMap(({ begunAtMs }) => begunAtMs)
    expect(begun.length).toBeGreaterThan(5)
    expect(busiestSecond(begun)).toBeLessThanOrEqual(2)
  })

  test.each([
    ['all have short timeouts', 1_000],
    ['all have long timeouts', 5_000],
  ])(
    'let a silent server be tried twice a second at most, with 50 databases that %s',
    async (_title, timeoutMs) => {
      const { breakers, pools } = setUp(Array(50).fill('a'))
      for (let now = 0; now < 60_000; now += 50) {
        for (const pool of pools) {
          pool.wants = 10
          while (pool.oldestMs >= timeoutMs) pool.settle('silent')
          pool.pulse()
        }
        await pass(50)
      }
      const begun = pools.flatMap(({ begunAtMs }) => begunAtMs)
      expect(begun.length).toBeGreaterThan(5)
      expect(busiestSecond(begun)).toBeLessThanOrEqual(2)
      expect(breakers.failing.server).toBe(timeoutMs < 3_000 ? 0 : 1)
    },
  )

  test('let another database try soon after one attempt is lost, but not while the server is known to be dead', async () => {
    const breakers = new Breakers()
    const [lost, neighbour] = [breakers.attemptsTo('a', '1'), breakers.attemptsTo('a', '2')]
    const attempt = lost.begin()
    expect(neighbour.room).toBe(0)
    const wake = vi.fn()
    neighbour.onceChanged(wake)
    await pass(COUNTED_FOR_MS - 1)
    expect(wake).not.toHaveBeenCalled()
    await pass(1)
    expect(wake).toHaveBeenCalledOnce()
    expect(neighbour.room).toBe(1)
    attempt.failed(refused, unheard)
    await pass(700)
    lost.begin()
    await pass(5_000)
    expect(neighbour.room).toBe(0)
  })

  test('do not stop databases with long timeouts on a slow server because of one with a short timeout', async () => {
    const breakers = new Breakers()
    const [impatient, patient] = [breakers.attemptsTo('a', '1'), breakers.attemptsTo('a', '2')]
    for (let n = 0; n < 5; n += 1) {
      while (impatient.room === 0) await pass(100)
      const attempt = impatient.begin()
      await pass(1_000)
      attempt.failed(timedOut, unheard)
      expect([impatient.isOpen, patient.isOpen, patient.room]).toEqual([true, false, 1])
    }
    expect(breakers.failing).toEqual({ server: 0, database: 1 })
  })

  test('wake waiting pools when a backoff is over, also if a longer one was cut short before it', async () => {
    const breakers = new Breakers()
    const attempts = breakers.attemptsTo('a', '1')
    attempts.serverAnswered()
    for (const attempt of [attempts.begin(), attempts.begin(), attempts.begin()])
      attempt.failed(sqlState('28P01'), heard)
    attempts.onceChanged(() => undefined)
    breakers.answered('a', '1')
    attempts.begin().failed(sqlState('53300'), heard)
    await pass(0)
    const wake = vi.fn()
    attempts.onceChanged(wake)
    await pass(700)
    expect(wake).toHaveBeenCalledOnce()
  })

  test('let a refused password be sent three times, and then once a minute or less often', async () => {
    const { pools } = setUp(['a'])
    const [pool] = pools as [FakePool]
    const sentAt: number[] = []
    for (let now = 0; now < 20 * 60_000; now += 500) {
      pool.wants = 10
      pool.pulse()
      for (const _ of [...pool.attempts]) {
        sentAt.push(now)
        pool.settle('denied')
      }
      await pass(500)
    }
    expect(sentAt[2]).toBeLessThan(3_000)
    const pauses = sentAt.slice(3).map((at, n) => Math.round((at - (sentAt[n + 2] ?? 0)) / 60_000))
    expect(pauses).toEqual([1, 2, 4, 8])
  })

  test('count three denials when they were pending together', () => {
    const breakers = new Breakers()
    const attempts = breakers.attemptsTo('a', '1')
    attempts.serverAnswered()
    const together = [attempts.begin(), attempts.begin(), attempts.begin()]
    expect(attempts.room).toBe(0)
    for (const attempt of together) attempt.failed(sqlState('28P01'), heard)
    vi.advanceTimersByTime(59_000)
    expect(attempts.isOpen).toBe(true)
    vi.advanceTimersByTime(1_000)
    expect(attempts.isOpen).toBe(false)
  })

  test('forget an entry that was replaced, and close after a check that succeeded', () => {
    const breakers = new Breakers()
    for (const database of ['1', '2'])
      breakers.attemptsTo('a', database).begin().failed(sqlState('3D000'), heard)
    expect(breakers.failing).toEqual({ server: 0, database: 2 })
    breakers.forget('1')
    expect(breakers.attemptsTo('a', '1').isOpen).toBe(false)
    breakers.answered('a', '2')
    expect(breakers.failing).toEqual({ server: 0, database: 0 })
  })

  test('blame neither server nor database for a fault of ours, but do not repeat it at once', () => {
    const breakers = new Breakers()
    const attempts = breakers.attemptsTo('a', '1')
    attempts.begin().failed(new PasswordUnavailableError(new Error('no catalog')), heard)
    expect([attempts.isOpen, breakers.attemptsTo('a', '2').isOpen]).toEqual([true, false])
    vi.advanceTimersByTime(1_000)
    expect(attempts.isOpen).toBe(false)
  })

  test('log once when a server becomes unreachable and once when it is back', () => {
    const lines: string[] = []
    const say = (fields: { server?: string }, message: string) => lines.push(`${message}: ${fields.server}`)
    const breakers = new Breakers({ log: { info: say, warn: say } })
    const attempts = breakers.attemptsTo('db.example.com:5432', '1')
    attempts.begin().failed(refused, unheard)
    vi.advanceTimersByTime(1_000)
    attempts.begin().failed(refused, unheard)
    vi.advanceTimersByTime(2_000)
    attempts.begin().succeeded()
    expect(lines).toEqual(
      ['unreachable', 'reachable again'].map((said) => `database server ${said}: db.example.com:5432`),
    )
  })
})
