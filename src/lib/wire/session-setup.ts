/**
 * What each transaction on a connection must set up for itself. A session of our own got its settings when it began, and keeps
 * named statements: its connections have no entry here. Behind a pooler each transaction may get another session.
 */
export interface SessionSetup {
  /** A list of columns that makes our settings until the transaction ends. */
  readonly settings: string
  /** Shared by all connections to a server. */
  readonly names: { keepsNames: boolean }
}

/** By pg's client. */
export const sessionSetups = new WeakMap<object, SessionSetup>()
