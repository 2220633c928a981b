/**
 * How far a gateway has come.
 *
 *   starting ──databases prepared──▶ ready ──told to end──▶ leaving ──delay over──▶ draining
 *      └─────────────────────────────told to end──────────────────────────────────────▲
 *
 * `leaving`: proxies are told to send nothing new, but what arrives is served. `draining`: new requests are refused.
 */
export class ServingPhase {
  #phase: 'starting' | 'ready' | 'leaving' | 'draining' = 'starting'

  isStarting(): boolean {
    return this.#phase === 'starting'
  }

  isReady(): boolean {
    return this.#phase === 'ready'
  }

  isServing(): boolean {
    return this.#phase === 'ready' || this.#phase === 'leaving'
  }

  isLeaving(): boolean {
    return this.#phase === 'leaving' || this.#phase === 'draining'
  }

  isDraining(): boolean {
    return this.#phase === 'draining'
  }

  /** False where the gateway was told to end before it was ready. */
  becomeReady(): boolean {
    if (this.#phase !== 'starting') return false
    this.#phase = 'ready'
    return true
  }

  leave(): void {
    if (this.#phase === 'ready') this.#phase = 'leaving'
  }

  drain(): void {
    this.#phase = 'draining'
  }
}
