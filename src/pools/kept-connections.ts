import type pg from 'pg'

/** A connection that its borrower keeps, to run many requests on it at once. */
export interface KeptConnection {
  /** How long no request has run on it, in milliseconds. Null while one runs. */
  readonly idleMs: number | null
  /** Takes no new requests, and gives the connection back to the pool once the running ones have ended. */
  giveBack(): void
  /** Takes no new requests, and closes the connection once the running ones have ended. */
  close(): void
}

/** A connection that was used lately is probably used again, so the requests that wait get the next one that is given back. */
const LONG_IDLE_MS = 100

/**
 * The connections of one pool that their borrowers keep. The pool asks for one back when a request of its own waits, and has one
 * closed when another pool needs the permit. Each is asked once.
 */
export class KeptConnections {
  readonly #clients = new Map<KeptConnection, pg.ClientBase>()

  /** Those that were not asked for yet. */
  get size(): number {
    return this.#clients.size
  }

  add(connection: KeptConnection, client: pg.ClientBase): void {
    this.#clients.set(connection, client)
  }

  remove(connection: KeptConnection): void {
    this.#clients.delete(connection)
  }

  /** Has those closed for which `isDue` is true. */
  closeThose(isDue: (client: pg.ClientBase) => boolean): void {
    for (const [connection, client] of [...this.#clients]) {
      if (!isDue(client)) continue
      this.#clients.delete(connection)
      connection.close()
    }
  }

  /** Has one closed that is idle. False if there is none. */
  closeIdle(): boolean {
    const idle = this.#take(isIdle)
    idle?.close()
    return idle !== undefined
  }

  /** Asks for one back that has long been idle or, if `isUrgent`, for any. */
  takeBack(isUrgent: boolean): void {
    const unused = this.#take(({ idleMs }) => idleMs !== null && idleMs >= LONG_IDLE_MS)
    const taken = unused ?? (isUrgent ? (this.#take(isIdle) ?? this.#take(() => true)) : undefined)
    taken?.giveBack()
  }

  #take(isWanted: (connection: KeptConnection) => boolean): KeptConnection | undefined {
    for (const connection of this.#clients.keys()) {
      if (!isWanted(connection)) continue
      this.#clients.delete(connection)
      return connection
    }
    return undefined
  }
}

function isIdle({ idleMs }: KeptConnection): boolean {
  return idleMs !== null
}
