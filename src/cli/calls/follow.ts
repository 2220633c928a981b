import { setTimeout as wait } from 'node:timers/promises'
import { CommandError, EXIT, type ExitCode } from '../exit-codes.ts'
import type { ApiClient } from './client.ts'
import { plain } from './plain-text.ts'

export interface Run {
  readonly id: string
  readonly status: string
  readonly wave: number
  readonly waves: readonly unknown[]
  readonly counts: {
    readonly total: number
    readonly done: number
    readonly failed: number
    readonly skipped: number
  }
}

const GOING_ON = ['running', 'queued']
const BAR = 20

/** Waits until a run of migrations ends, halts or is paused. On a terminal a bar on stderr shows how far it is. */
export async function followRun(client: ApiClient, started: Run, intervalMs: number): Promise<Run> {
  const bar = process.stderr.isTTY === true
  let run = started
  while (GOING_ON.includes(run.status)) {
    if (bar) process.stderr.write(`\r${barOf(run, process.stderr.columns || 80)}\u001b[K`)
    await wait(intervalMs)
    run = await client
      .call({ method: 'GET', path: `/api/v1/migrations/runs/${encodeURIComponent(run.id)}` })
      .then(({ body }) => body as Run, goesOn)
  }
  if (bar) process.stderr.write('\r\u001b[K')
  return run
}

/** `###.......  3 of 10, wave 2 of 4, 1 failed`, in a number of columns. */
export function barOf({ counts, wave, waves }: Run, columns: number): string {
  const { total, done, failed, skipped } = counts
  const ended = done + failed + skipped
  const filled = total === 0 ? 0 : Math.floor((ended / total) * BAR)
  const part = waves.length > 1 ? `, wave ${wave + 1} of ${waves.length}` : ''
  const figures = `${ended} of ${total}${part}${failed > 0 ? `, ${failed} failed` : ''}`
  return `${'#'.repeat(filled)}${'.'.repeat(BAR - filled)}  ${figures}`.slice(0, Math.max(1, columns - 1))
}

/** A run with failures is done in part, as is one that stands. */
export function exitOfRun({ status }: Run): ExitCode {
  if (status === 'succeeded') return EXIT.done
  return status === 'cancelled' ? EXIT.failed : EXIT.partly
}

/** What to do next with a run that has not succeeded, or null. */
export function adviceOn({ id, status }: Run): string | null {
  const run = plain(id)
  const failures = `See why: freehold migrations run-databases ${run}. Then: freehold migrations retry ${run}`
  if (status === 'halted') return `The run is halted, and the other databases are as before. ${failures}`
  if (status === 'failed') return failures
  return status === 'paused' ? `The run is paused. Go on: freehold migrations resume ${run}` : null
}

function goesOn(error: unknown): never {
  if (!(error instanceof CommandError)) throw error
  const { message, code, exitCode, problem } = error
  const text = `${plain(message)}. The run goes on: freehold migrations status shows it`
  throw new CommandError(text, { code, exitCode, problem })
}
