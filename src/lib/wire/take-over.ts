import type { Socket } from 'node:net'
import type pg from 'pg'

interface TakenClient {
  readonly connection: { readonly stream: Socket }
  readonly readyForQuery: boolean
  _getActiveQuery(): unknown
}

type Listener = (...heard: unknown[]) => void

/** The socket of a connection that pg has opened and does not read for now. */
export interface TakenSocket {
  readonly socket: Socket
  /** Lets pg read again. Call only when no answer is outstanding, and after every other reader has left the socket. */
  handBack(): void
}

/**
 * Takes the socket of an open connection that waits for no answer. From now on pg reads nothing from it, and the client's `query`
 * must not be used. The caller must begin to read in the same turn of the event loop.
 * @throws Error if the connection is busy
 */
export function takeOver(client: pg.ClientBase): TakenSocket {
  const taken = client as unknown as TakenClient
  if (!taken.readyForQuery || taken._getActiveQuery() != null) throw new Error('the connection is busy')
  const { stream: socket } = taken.connection
  const readers = socket.listeners('data') as Listener[]
  // pg still hears when the connection ends, and closes it.
  socket.removeAllListeners('data')
  return {
    socket,
    handBack: () => {
      for (const reader of readers) socket.on('data', reader)
    },
  }
}
