/** Time is measured in pieces of this length. Milliseconds. */
const PIECE_MS = 100
/** A timer that fires later than this is late because the event loop was busy. Milliseconds. */
const LATE_MS = 20
/** No limit lasts longer than this many times its length, however busy the event loop is. */
const MAX_STRETCH = 4

export interface TimeLimit {
  /** How much of the limit has been used. Milliseconds. */
  readonly spentMs: number
  clear(): void
}

/**
 * Calls `expire` after `ms` in which the event loop was free to read an answer. A busy loop runs its timers before it reads its
 * sockets, so a plain timer may report a silent server although its answer has arrived and was not read yet. Therefore each
 * piece counts with its own length, even if its timer fires late, and the last piece must end on time.
 */
export function startTimeLimit(expire: () => void, ms: number): TimeLimit {
  const begunAt = performance.now()
  let leftMs = ms
  let timer: NodeJS.Timeout
  const wait = () => {
    const pieceMs = Math.min(PIECE_MS, leftMs > 0 ? leftMs : PIECE_MS)
    const dueAt = performance.now() + pieceMs
    timer = setTimeout(() => {
      leftMs -= pieceMs
      const now = performance.now()
      const isOver = leftMs <= 0 && now - dueAt <= LATE_MS
      if (isOver || now - begunAt >= ms * MAX_STRETCH) expire()
      else wait()
    }, pieceMs)
    timer.unref()
  }
  wait()
  return {
    get spentMs() {
      return Math.min(ms, ms - leftMs)
    },
    clear: () => clearTimeout(timer),
  }
}
