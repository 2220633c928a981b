import { causesOf } from '../causes.ts'

/** Our own code has thrown while it handled an answer of a server. The connection has ended, and the server is not to blame. */
export class HandlerFault extends Error {
  readonly code = 'INTERNAL_ERROR'

  constructor(cause: unknown) {
    super('a fault of ours while an answer was handled', { cause })
    this.name = 'HandlerFault'
  }
}

export function isHandlerFault(error: unknown): boolean {
  for (const e of causesOf(error)) if (e instanceof HandlerFault) return true
  return false
}
