import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'

/** How many HTTP connections there may be. */
export interface ConnectionLimit {
  /** What comes beyond this is reset: the process keeps descriptors for everything else that it does. */
  readonly most: number
  /** What comes beyond this is answered 503 once, and closed. */
  readonly mark: number
}

/** For the catalog's connections, files, pipes, look-ups, and what Node itself holds open. */
const RESERVED = 96
const LEAST = 16
/** Connections beyond the mark that say nothing are closed after this. */
const SILENCE_MS = 2_000
const WARN_PAUSE_MS = 10_000

/** What `descriptors` leave when the connections to databases have theirs. */
export function connectionLimit(descriptors: number, databaseConnections: number): ConnectionLimit {
  const most = Math.max(LEAST, descriptors - databaseConnections - RESERVED)
  return { most, mark: most - Math.ceil(most / 10) }
}

/**
 * Keeps the connections of callers, who may say nothing and come by the thousand, from taking the descriptors that the
 * process needs for its work. Those who have said nothing for `headersTimeout` are closed by Node.
 */
export function limitConnections(
  server: FastifyInstance,
  { most, mark }: ConnectionLimit,
): Pick<WeakSet<Socket>, 'has'> {
  const surplus = new WeakSet<Socket>()
  let open = 0
  let warnedAt = Number.NEGATIVE_INFINITY
  const warn = () => {
    if (performance.now() - warnedAt < WARN_PAUSE_MS) return
    warnedAt = performance.now()
    server.log.warn({ open, mark, most }, 'too many HTTP connections')
  }
  server.server.maxConnections = most
  server.server.on('drop', warn)
  server.server.on('connection', (socket: Socket) => {
    open += 1
    socket.once('close', () => {
      open -= 1
    })
    if (open <= mark) return
    warn()
    surplus.add(socket)
    setTimeout(() => {
      if (socket.bytesRead === 0) socket.destroy()
    }, SILENCE_MS).unref()
  })
  return surplus
}
