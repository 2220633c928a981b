import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'

/** How many HTTP connections may be open. */
export interface ConnectionLimit {
  /** Connections beyond this are reset, because the process needs the other descriptors itself. */
  readonly most: number
  /** Connections beyond this are answered with 503 once, and closed. */
  readonly mark: number
}

/** Descriptors for the catalog's connections, files, pipes, look-ups, and Node itself. */
const RESERVED = 96
const LEAST = 16
/** Connections beyond the mark that send nothing are closed after this. */
const SILENCE_MS = 2_000
const WARN_PAUSE_MS = 10_000

/** The limit for a process that may open `descriptors` files and holds up to `databaseConnections`. */
export function connectionLimit(descriptors: number, databaseConnections: number): ConnectionLimit {
  const most = Math.max(LEAST, descriptors - databaseConnections - RESERVED)
  return { most, mark: most - Math.ceil(most / 10) }
}

/**
 * Keeps callers from taking the descriptors that the process needs for its work: they may open thousands of connections and send
 * nothing. Node closes a connection that has sent nothing for `headersTimeout`.
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
