import { readdirSync, readFileSync } from 'node:fs'

/** Time and CPU time at one moment: ms, and µs since the processes began (null without /proc). */
export interface Clocks {
  readonly ms: number
  readonly node: number | null
  readonly postgres: number | null
}

export function readClocks({ pid, postmasters }: { pid: number; postmasters: readonly number[] }): Clocks {
  return { ms: performance.now(), node: cpuOf(pid), postgres: cpuOfChildren(postmasters) }
}

/** What was spent on each of `requests`. */
export function spentBetween(before: Clocks, after: Clocks, requests: number) {
  const each = (from: number | null, to: number | null) =>
    from === null || to === null ? null : (to - from) / requests
  return {
    perSecond: (requests * 1_000) / (after.ms - before.ms),
    nodeCpu: each(before.node, after.node),
    postgresCpu: each(before.postgres, after.postgres),
  }
}

/** CPU time that a process has used so far, in µs; null without /proc. */
function cpuOf(pid: number): number | null {
  try {
    // Nanoseconds a thread; `stat` counts in hundredths of a second, too coarse for a short round.
    const tasks = readdirSync(`/proc/${pid}/task`)
    return tasks.reduce((sum, task) => sum + scheduledNs(`/proc/${pid}/task/${task}/schedstat`), 0) / 1_000
  } catch {
    return null
  }
}

/** A thread may end between listing and reading. */
function scheduledNs(path: string): number {
  try {
    return Number(readFileSync(path, 'utf8').split(' ')[0])
  } catch {
    return 0
  }
}

const MICROSECONDS_A_TICK = 10_000
const PARENT = 1
const ENDED_CHILDREN_USER = 13
const ENDED_CHILDREN_SYSTEM = 14

/**
 * CPU time, in µs, of all processes whose parent is one of `parents`: a PostgreSQL's backends. Those that have ended count
 * too, in hundredths of a second: where connections are opened and closed, they are most of it.
 */
function cpuOfChildren(parents: readonly number[]): number | null {
  try {
    const living = readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && parents.includes(statOf(name)[PARENT] ?? 0))
      .reduce((sum, name) => sum + (cpuOf(Number(name)) ?? 0), 0)
    const ended = parents.reduce((sum, parent) => {
      const stat = statOf(String(parent))
      return sum + (stat[ENDED_CHILDREN_USER] ?? 0) + (stat[ENDED_CHILDREN_SYSTEM] ?? 0)
    }, 0)
    return living + ended * MICROSECONDS_A_TICK
  } catch {
    return null
  }
}

/** The fields behind the name of the program: first the state, then the parent. */
function statOf(pid: string): number[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number)
  } catch {
    return []
  }
}
