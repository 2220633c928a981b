/** How a server takes what connections begin with, and names: a pooler in front of it may refuse the one and lose the other. */
export interface ServerManners {
  /** Settings are no part of the startup message. */
  isPlain: boolean
  /** False once a prepared statement was not there under the name it was given. */
  keepsNames: boolean
}

/** Nothing is known yet: it is asked for all, and believed. */
export function newManners(): ServerManners {
  return { isPlain: false, keepsNames: true }
}
