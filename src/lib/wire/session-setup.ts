/**
 * What each transaction on a connection behind a pooler must set up, because each may get another session. A session of our own
 * got its settings when it began and keeps named statements, so its connections have no setup here.
 */
export interface SessionSetup {
  /** SQL columns that apply our settings until the transaction ends. */
  readonly settings: string
  /** Shared by all connections to a server. */
  readonly names: { keepsNames: boolean }
}

/** The setup of each of pg's clients. */
export const sessionSetups = new WeakMap<object, SessionSetup>()
