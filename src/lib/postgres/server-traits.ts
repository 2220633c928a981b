/** What was found out about a server. A pooler in front of it may refuse settings at the start, and lose named statements. */
export interface ServerTraits {
  /** Connections ask for no settings in their startup message. */
  isPlain: boolean
  /** False once a prepared statement was missing under its name. */
  keepsNames: boolean
}

/** Of a server of which nothing is known yet. */
export function newServerTraits(): ServerTraits {
  return { isPlain: false, keepsNames: true }
}
