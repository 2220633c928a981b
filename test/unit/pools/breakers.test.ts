import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type Attempt, BreakerBook, blameFor, PasswordFault, type Way } from '../../../src/pools/breakers.ts'

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

describe('a failed attempt is counted', () => {
  test.each([
    ['against the server', 'server', refused],
    ['against the server', 'server', coded('DNS_FAILED')],
    ['against the server', 'server', new Error('a timeout has no code')],
    ['against the server', 'server', sqlState('57P03')],
    ['against the database', 'database', sqlState('3D000')],
    ['against the database', 'database', sqlState('53300')],
    ['against the database', 'database', new Error('could not connect', { cause: sqlState('55000') })],
    ['against the database', 'database', coded('HOST_NOT_ALLOWED')],
    ['as a denial', 'denied', sqlState('28P01')],
    ['as a denial', 'denied', sqlState('28000')],
    ['against nobody else', 'ourselves', new PasswordFault(coded('CATALOG_UNAVAILABLE', sqlState('57P03')))],
  ])('%s (%s) by its code, %s', (_title, blame, error) => {
    expect(blameFor(error, false)).toBe(blame)
  })

  test('against the database if the server had begun to answer', () => {
    for (const error of [coded('ECONNRESET'), coded('CERT_HAS_EXPIRED'), new Error('silent since')]) {
      expect(blameFor(error, true)).toBe('database')
    }
    expect(blameFor(sqlState('57P03'), true)).toBe('server')
  })
})

let sequence = 0

/** Sees the attempts to reach one server, or one database. Moments are numbered in their order. */
class Witness {
  readonly #mostUnproven: number
  failedAt = 0
  answeredAt = 0
  failedAtMs = 0
  answeredAtMs = Number.NEGATIVE_INFINITY
  readonly underWay = new Set<number>()

  /** How many attempts may be under way when it has not answered for a second. */
  constructor(mostUnproven: number) {
    this.#mostUnproven = mostUnproven
  }

  begin(at: number): void {
    if (this.failedAt > this.answeredAt) {
      const probes = [...this.underWay].filter((begun) => begun > this.failedAt)
      expect(probes, 'one probe').toEqual([])
      expect(performance.now() - this.failedAtMs, 'no sooner than the delay').toBeGreaterThanOrEqual(349)
    }
    this.underWay.add(at)
    const isProven = performance.now() - this.answeredAtMs < 1_000
    if (this.failedAt <= this.answeredAt && !isProven)
      expect(this.underWay.size).toBeLessThanOrEqual(this.#mostUnproven)
  }

  fail(begun: number): void {
    // What began before the last failure says nothing new.
    if (begun < this.failedAt) return
    this.failedAt = ++sequence
    this.failedAtMs = performance.now()
  }

  answer(): void {
    this.answeredAt = ++sequence
    this.answeredAtMs = performance.now()
  }
}

/** A pool in small: so many want a connection, and it asks for as many as it may. */
class FakePool {
  readonly #way: Way
  readonly #server: Witness
  readonly #database = new Witness(3)
  readonly attempts: { attempt: Attempt; begun: number }[] = []
  readonly #wake = () => this.pulse()
  wants = 0

  constructor(way: Way, server: Witness) {
    this.#way = way
    this.#server = server
  }

  pulse(): void {
    while (this.wants > this.attempts.length && this.#way.room > 0) this.#begin()
    if (this.wants > this.attempts.length) this.#way.whenChanged(this.#wake)
  }

  settle(outcome: 'success' | 'refused' | 'denied' | 'full'): void {
    const [first] = this.attempts.splice(0, 1)
    if (first === undefined) return
    const { attempt, begun } = first
    for (const witness of [this.#server, this.#database]) witness.underWay.delete(begun)
    if (outcome === 'refused') {
      this.#server.fail(begun)
      attempt.failed(refused, false)
    } else {
      this.#server.answer()
      if (outcome === 'success') this.#succeed(attempt, begun)
      else {
        this.#database.fail(begun)
        attempt.failed(sqlState(outcome === 'denied' ? '28P01' : '53300'), true)
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
    this.attempts.push({ attempt: this.#way.begin(), begun })
    expect(this.attempts.length).toBeLessThanOrEqual(3)
  }
}

function setUp(servers: readonly string[]) {
  const book = new BreakerBook()
  const witnesses = new Map(servers.map((server) => [server, new Witness(1)]))
  const pools = servers.map((server, n) => {
    return new FakePool(book.wayTo(server, `${n}`), witnesses.get(server) as Witness)
  })
  return { book, pools }
}

describe('the book of breakers', () => {
  test('lets in one probe, never two, one to a server that is not known to live, and starves nobody', async () => {
    const servers = ['a', 'a', 'a', 'b']
    const outcome = fc.constantFrom(
      'success' as const,
      'refused' as const,
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
        const { book, pools } = setUp(servers)
        for (const one of steps) {
          const pool = pools[one.pool] as FakePool
          if (one.kind === 'want') {
            pool.wants += one.count
            pool.pulse()
          } else if (one.kind === 'settle') pool.settle(one.outcome)
          else if (one.kind === 'tick') await pass(one.ms)
          else {
            pool.answered()
            book.answered(servers[one.pool] as string, `${one.pool}`)
          }
          await pass(0)
        }
        for (let round = 0; round < 200 && pools.some(({ wants }) => wants > 0); round += 1) {
          for (const pool of pools) pool.settle('success')
          await pass(10_000)
        }
        expect(pools.map(({ wants }) => wants)).toEqual([0, 0, 0, 0])
        expect(book.broken).toEqual({ server: 0, database: 0 })
      }),
      { numRuns: 150 },
    )
  })
  test('knocks at a dead server no more than twice a second, however many databases it has', async () => {
    const { pools } = setUp(Array(50).fill('a'))
    const begun: number[] = []
    for (let now = 0; now < 60_000; now += 50) {
      for (const pool of pools) {
        pool.wants = 10
        pool.pulse()
        begun.push(...pool.attempts.map(() => now))
        for (const _ of [...pool.attempts]) pool.settle('refused')
      }
      await pass(50)
    }
    const busiest = begun.map((from) => begun.filter((at) => at >= from && at < from + 1_000).length)
    expect(begun.length).toBeGreaterThan(5)
    expect(Math.max(...busiest)).toBeLessThanOrEqual(2)
  })

  test('wakes who waits when a pause is over, also if a longer one was cut short before it', async () => {
    const book = new BreakerBook()
    const way = book.wayTo('a', '1')
    way.heard()
    for (const attempt of [way.begin(), way.begin(), way.begin()]) attempt.failed(sqlState('28P01'), true)
    way.whenChanged(() => undefined)
    book.answered('a', '1')
    way.begin().failed(sqlState('53300'), true)
    await pass(0)
    const wake = vi.fn()
    way.whenChanged(wake)
    await pass(700)
    expect(wake).toHaveBeenCalledOnce()
  })

  test('says a password that is not taken three times, and then once in a minute or longer', async () => {
    const { pools } = setUp(['a'])
    const [pool] = pools as [FakePool]
    const saidAt: number[] = []
    for (let now = 0; now < 20 * 60_000; now += 500) {
      pool.wants = 10
      pool.pulse()
      for (const _ of [...pool.attempts]) {
        saidAt.push(now)
        pool.settle('denied')
      }
      await pass(500)
    }
    expect(saidAt[2]).toBeLessThan(3_000)
    const pauses = saidAt.slice(3).map((at, n) => Math.round((at - (saidAt[n + 2] ?? 0)) / 60_000))
    expect(pauses).toEqual([1, 2, 4, 8])
  })

  test('counts no more than three denials when they were under way together', () => {
    const book = new BreakerBook()
    const way = book.wayTo('a', '1')
    way.heard()
    const together = [way.begin(), way.begin(), way.begin()]
    expect(way.room).toBe(0)
    for (const attempt of together) attempt.failed(sqlState('28P01'), true)
    vi.advanceTimersByTime(59_000)
    expect(way.isOpen).toBe(true)
    vi.advanceTimersByTime(1_000)
    expect(way.isOpen).toBe(false)
  })

  test('forgets an entry that was replaced, and believes a check that got through', () => {
    const book = new BreakerBook()
    for (const database of ['1', '2']) book.wayTo('a', database).begin().failed(sqlState('3D000'), true)
    expect(book.broken).toEqual({ server: 0, database: 2 })
    book.forget('1')
    expect(book.wayTo('a', '1').isOpen).toBe(false)
    book.answered('a', '2')
    expect(book.broken).toEqual({ server: 0, database: 0 })
  })

  test('blames nobody for a fault of ours, but does not repeat it at once', () => {
    const book = new BreakerBook()
    const way = book.wayTo('a', '1')
    way.begin().failed(new PasswordFault(new Error('no catalog')), true)
    expect([way.isOpen, book.wayTo('a', '2').isOpen]).toEqual([true, false])
    vi.advanceTimersByTime(1_000)
    expect(way.isOpen).toBe(false)
  })

  test('tells the log when a server goes and when it is back, once', () => {
    const lines: string[] = []
    const say = (fields: { server?: string }, message: string) => lines.push(`${message}: ${fields.server}`)
    const book = new BreakerBook({ log: { info: say, warn: say } })
    const way = book.wayTo('db.example.com:5432', '1')
    way.begin().failed(refused, false)
    vi.advanceTimersByTime(1_000)
    way.begin().failed(refused, false)
    vi.advanceTimersByTime(2_000)
    way.begin().succeeded()
    expect(lines).toEqual(
      ['out of reach', 'back'].map((said) => `database server ${said}: db.example.com:5432`),
    )
  })
})
