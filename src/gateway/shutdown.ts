import { setTimeout as delay } from 'node:timers/promises'

/** Accepts connections for a gateway. */
export interface RequestListener {
  /** How long requests are still served after the shutdown has begun. */
  readonly shutdownDelayMs: number
  /** Accepts no new connections and resolves when the running requests have ended. */
  close(): Promise<void>
  /** Closes all connections, also those with running requests. */
  cutConnections(): void
}

/** For a gateway without its own server: it is part of a host's server, or has no HTTP. */
export const NO_LISTENER: RequestListener = {
  shutdownDelayMs: 0,
  close: async () => undefined,
  cutConnections: () => undefined,
}

export interface ShutdownPlan {
  readonly listener: RequestListener
  readonly graceMs: number
  readonly isServing: boolean
  /** Closes everything, the listener first. */
  readonly close: () => Promise<void>
  readonly log: { warn(fields: object, message: string): void }
}

const CLOSING_TIME_MS = 1_000

/**
 * Closes within the grace period. Shortly before its end, the remaining connections are closed. Work that hangs even then, for example a
 * statement that waits for a lock, is not waited for.
 */
export async function shutDown({ listener, graceMs, isServing, close, log }: ShutdownPlan): Promise<void> {
  const cutAfterMs = graceMs - Math.min(CLOSING_TIME_MS, graceMs / 4)
  const cut = setTimeout(() => listener.cutConnections(), cutAfterMs)
  const late = Promise.withResolvers<'late'>()
  const deadline = setTimeout(() => late.resolve('late'), graceMs)
  try {
    // A proxy sends requests until it asks for readiness again.
    const left = isServing ? delay(Math.min(listener.shutdownDelayMs, graceMs / 2)) : Promise.resolve()
    const outcome = await Promise.race([left.then(close), late.promise])
    if (outcome === 'late') log.warn({ graceMs }, 'shutdown grace period over: unfinished work cut off')
  } finally {
    clearTimeout(cut)
    clearTimeout(deadline)
  }
}
