export interface BreakerOptions {
  /** The backoff after the first failure. It doubles with each further one, up to `maxBackoffMs`. */
  readonly firstBackoffMs: number
  readonly maxBackoffMs: number
  /** How many attempts may be pending while the breaker is closed. */
  readonly maxPending: number
  /** For this long after an answer, any number of attempts may be pending. By default 0. */
  readonly provenForMs?: number
  /** An attempt counts in `maxPending` for at most this long. By default until it ends. */
  readonly countedForMs?: number
  /** Called when the breaker leaves `closed`, with the error, and when it is `closed` again. */
  readonly onFailing?: (error: unknown) => void
  readonly onRecovered?: () => void
  readonly now?: () => number
  readonly random?: () => number
}

export type BreakerState = 'closed' | 'open' | 'half-open' | 'probing'

interface PendingAttempt {
  readonly begunAt: number
  /** The breaker's generation at that time. */
  readonly generation: number
}

/** How many wrong passwords we send in a row. After more, a server might block us or lock the account. */
export const MAX_DENIALS = 3
const FIRST_DENIED_BACKOFF_MS = 60_000
const MAX_DENIED_BACKOFF_MS = 600_000

/**
 * Decides whether a connection to one server, or to one database, may be opened now. Attempts report here how they end. Waiting
 * pools are called when the decision may have changed.
 *
 *     closed ───────── an attempt fails ─────────▶ open ◀───────────────────┐
 *       ▲                                            │                      │
 *       │                                   the backoff is over     the probe fails:
 *       │                                            ▼              the backoff doubles
 *       │                                        half-open                  │
 *       │                                            │                      │
 *       │                                 begin() starts the probe          │
 *       │                                            ▼                      │
 *       └─────── the probe succeeds ───────────── probing ──────────────────┘
 *
 *   closed     `maxPending` attempts may be pending, or any number for `provenForMs` after an answer
 *   open       no attempt may begin until the backoff is over
 *   half-open  one attempt may begin: the probe
 *   probing    no attempt may begin until the probe ends
 *
 * `answered()` closes the breaker from every state. `postponed()` and a third `denied()` open it from every state. If a probe is
 * `abandoned()`, the state is half-open again.
 *
 * The breaker starts a new generation each time it opens. An attempt of an earlier generation can neither close the breaker nor
 * double its backoff, because it began before the failure was known. Each backoff is shortened at random, at most by half, so
 * that many gateways do not try at the same moment.
 */
export class Breaker {
  readonly #options: BreakerOptions
  /** In the order in which they began. */
  readonly #pending = new Map<object, PendingAttempt>()
  /** Callbacks for the next change. Each is called once. */
  readonly #waiting = new Set<() => void>()
  #failures = 0
  /** Passwords that were refused in a row. */
  #denials = 0
  #openUntil = 0
  #isProbing = false
  #generation = 0
  #answeredAt = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | null = null
  #isWaking = false

  constructor(options: BreakerOptions) {
    this.#options = options
  }

  get state(): BreakerState {
    if (this.#failures === 0) return 'closed'
    if (this.#isProbing) return 'probing'
    return this.backoffMs > 0 ? 'open' : 'half-open'
  }

  /** True while attempts are refused because earlier ones failed. */
  get isOpen(): boolean {
    const { state } = this
    return state === 'open' || state === 'probing'
  }

  /** True from a failure until the next success. */
  get isFailing(): boolean {
    return this.state !== 'closed'
  }

  /** Milliseconds until the backoff is over. */
  get backoffMs(): number {
    return this.#failures === 0 ? 0 : Math.max(0, this.#openUntil - this.#now())
  }

  /** How many attempts may begin now. */
  get room(): number {
    const { state } = this
    if (state === 'half-open') return 1
    return state === 'closed' ? this.#closedRoom() : 0
  }

  /** Begins an attempt; `attempt` is any object that identifies it. Call only when there is room. */
  begin(attempt: object): void {
    if (this.room === 0) throw new Error('no attempt may begin now')
    this.#isProbing = this.state === 'half-open'
    this.#pending.set(attempt, { begunAt: this.#now(), generation: this.#generation })
  }

  /** The attempt succeeded. */
  succeeded(attempt: object): void {
    this.#end(attempt, (isCurrent) => {
      if (isCurrent) this.#close()
      if (this.state === 'closed') this.#denials = 0
    })
  }

  /** The attempt failed. */
  failed(attempt: object, error: unknown): void {
    const open = (isCurrent: boolean) => {
      if (isCurrent) this.#open(this.#nextBackoffMs())
    }
    this.#end(attempt, open, error)
  }

  /** The attempt failed because the password was refused. After `MAX_DENIALS` in a row the backoff lasts minutes. */
  denied(attempt: object, error: unknown): void {
    this.#denials += 1
    const beyond = this.#denials - MAX_DENIALS
    if (beyond < 0) this.failed(attempt, error)
    else {
      const backoffMs = Math.min(MAX_DENIED_BACKOFF_MS, FIRST_DENIED_BACKOFF_MS * 2 ** beyond)
      this.postponed(attempt, backoffMs, error)
    }
  }

  /** The attempt ended and says nothing about the target. The next one may begin after `backoffMs`. */
  postponed(attempt: object, backoffMs: number, error: unknown): void {
    this.#end(attempt, () => this.#open(backoffMs), error)
  }

  /** The attempt ended and says nothing about the target. */
  abandoned(attempt: object): void {
    this.#end(attempt, (isCurrent) => {
      if (isCurrent) this.#isProbing = false
    })
  }

  /** The target has answered, to a pending attempt or to a check outside the pools. */
  answered(): void {
    this.#answeredAt = this.#now()
    this.#denials = 0
    this.#change(() => this.#close())
  }

  /** Calls `wake` once, when `room` may have changed. */
  onceChanged(wake: () => void): void {
    this.#waiting.add(wake)
    this.#setTimer()
  }

  #closedRoom(): number {
    const { maxPending, provenForMs = 0 } = this.#options
    if (this.#now() - this.#answeredAt < provenForMs) return Number.POSITIVE_INFINITY
    return Math.max(0, maxPending - this.#counted().length)
  }

  /** The start times of the attempts that count in `maxPending`, oldest first. */
  #counted(): number[] {
    const { countedForMs = Number.POSITIVE_INFINITY } = this.#options
    const now = this.#now()
    const begun = [...this.#pending.values()].map(({ begunAt }) => begunAt)
    return begun.filter((begunAt) => now - begunAt < countedForMs)
  }

  #nextBackoffMs(): number {
    const { firstBackoffMs, maxBackoffMs, random = Math.random } = this.#options
    const backoffMs = Math.min(maxBackoffMs, firstBackoffMs * 2 ** Math.min(this.#failures, 20))
    return backoffMs * (0.5 + random() / 2)
  }

  #open(backoffMs: number): void {
    const until = this.#now() + backoffMs
    // A running backoff is never shortened.
    this.#openUntil = this.#failures > 0 ? Math.max(this.#openUntil, until) : until
    this.#failures += 1
    this.#generation += 1
    this.#isProbing = false
  }

  #close(): void {
    this.#failures = 0
    this.#isProbing = false
  }

  /** `isCurrent` is false if the breaker has opened since the attempt began. */
  #end(attempt: object, report: (isCurrent: boolean) => void, error?: unknown): void {
    const pending = this.#pending.get(attempt)
    if (pending === undefined) return
    this.#pending.delete(attempt)
    this.#change(() => report(pending.generation === this.#generation), error)
  }

  #change(apply: () => void, error?: unknown): void {
    const wasFailing = this.isFailing
    apply()
    // The timer belongs to the old state. A pool that still has to wait sets a new one.
    this.#clearTimer()
    if (!wasFailing && this.isFailing) this.#options.onFailing?.(error)
    if (wasFailing && !this.isFailing) this.#options.onRecovered?.()
    this.#wake()
  }

  /** In a microtask, so that a waiting pool does not run in the middle of the reporting pool's work. */
  #wake(): void {
    if (this.#isWaking || this.#waiting.size === 0) return
    this.#isWaking = true
    queueMicrotask(() => {
      this.#isWaking = false
      const woken = [...this.#waiting]
      this.#waiting.clear()
      for (const wake of woken) wake()
    })
  }

  /** The timer fires when a backoff ends or an attempt no longer counts. No attempt reports these changes. */
  #setTimer(): void {
    if (this.#timer !== null || this.room > 0) return
    const delayMs = this.#untilRoomMs()
    if (delayMs === Number.POSITIVE_INFINITY) return
    this.#timer = setTimeout(() => {
      this.#timer = null
      if (this.room > 0) this.#wake()
      else this.#setTimer()
    }, Math.ceil(delayMs))
    this.#timer.unref()
  }

  #clearTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }

  /** Milliseconds until an attempt may begin because time has passed. Infinity if a pending attempt must end first. */
  #untilRoomMs(): number {
    const { state } = this
    if (state === 'open') return this.backoffMs
    if (state === 'probing') return Number.POSITIVE_INFINITY
    const { countedForMs = Number.POSITIVE_INFINITY } = this.#options
    const [oldest = this.#now()] = this.#counted()
    return oldest + countedForMs - this.#now()
  }

  #now(): number {
    return (this.#options.now ?? performance.now.bind(performance))()
  }
}
