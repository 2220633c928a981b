/**
 * How what we send on a connection is dressed. A session of our own was given its settings when it began, and keeps named
 * statements: it needs nothing, and has no dressing. Behind a pooler each transaction may meet another session.
 */
export interface Dressing {
  /** A list of columns that makes our settings until the transaction ends. */
  readonly settings: string
  /** Shared by all connections to a server. */
  readonly names: { keepsNames: boolean }
}

const dressings = new WeakMap<object, Dressing>()

export function dressingOf(client: object): Dressing | undefined {
  return dressings.get(client)
}

export function dress(client: object, dressing: Dressing): void {
  dressings.set(client, dressing)
}
