/** What we know about a server. A pooler in front of it may refuse settings in the startup message and lose named statements. */
export interface ServerTraits {
  /** Connections ask for no settings in their startup message. */
  isPlain: boolean
  /** False once a prepared statement was missing under its name. */
  keepsNames: boolean
  /** False once the server did not tell in which folder a database's files are. */
  tellsFiles: boolean
}

/** The traits of a new server, until they are known. */
export function newServerTraits(): ServerTraits {
  return { isPlain: false, keepsNames: true, tellsFiles: true }
}
