import type { Phase } from '../http/deps.ts'

/**
 * How far a gateway has come.
 *
 *   starting ──databases prepared──▶ ready ──told to end──▶ leaving ──delay over──▶ draining
 *      └─────────────────────────────told to end──────────────────────────────────────▲
 */
export class ServingPhase {
  /** Written here alone. Data, because each request reads it. */
  phase: Phase = 'starting'

  isStarting(): boolean {
    return this.phase === 'starting'
  }

  isReady(): boolean {
    return this.phase === 'ready'
  }

  isServing(): boolean {
    return this.phase === 'ready' || this.phase === 'leaving'
  }

  isDraining(): boolean {
    return this.phase === 'draining'
  }

  /** False where the gateway was told to end before it was ready. */
  becomeReady(): boolean {
    if (this.phase !== 'starting') return false
    this.phase = 'ready'
    return true
  }

  leave(): void {
    if (this.phase === 'ready') this.phase = 'leaving'
  }

  drain(): void {
    this.phase = 'draining'
  }
}
