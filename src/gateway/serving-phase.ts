import type { Phase } from '../http/deps.ts'

/**
 * The phase of a gateway's life.
 *
 *   starting ──databases prepared──▶ ready ──told to end──▶ leaving ──delay over──▶ draining
 *      └─────────────────────────────told to end──────────────────────────────────────▲
 */
export class ServingPhase {
  /** Only this class writes it. It is a field without a getter, because each request reads it. */
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

  /** False if the gateway was closed before it was ready. */
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
