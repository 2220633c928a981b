/** Time is looked at in pieces of this length. Milliseconds. */
const PIECE_MS = 100
/** A timer that comes later than this is late because we were busy. */
const LATE_MS = 20
/** Nothing lasts longer than so many times what it was given, however busy we are. */
const MOST = 4

export interface TimeLimit {
  /** What has passed of the time that counts. Milliseconds. */
  readonly spentMs: number
  clear(): void
}

/**
 * Calls `expire` after `ms` in which the event loop was free to hear an answer. A loop that is busy fires its timers before it
 * reads its sockets: what a plain timer takes for a server's silence may lie there unread. So a piece of the time counts with
 * its own length, not with what passed until we looked; and the last one has to be on time.
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
      if (isOver || now - begunAt >= ms * MOST) expire()
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
