import { setTimeout as wait } from 'node:timers/promises'
import { CommandError, EXIT, type ExitCode } from '../exit-codes.ts'
import type { ApiClient } from './client.ts'
import { plain } from './plain-text.ts'

export interface Run {
  readonly id: string
  readonly status: string
  readonly counts: {
    readonly total: number
    readonly done: number
    readonly failed: number
    readonly skipped: number
  }
}

const GOING_ON = ['running', 'queued']
const BAR = 20

/** Waits for the end of a run of migrations. On a terminal a bar on stderr shows how far it is. */
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

/** `###.......  3 of 10, 1 failed`, in a number of columns. */
export function barOf({ counts }: Run, columns: number): string {
  const { total, done, failed, skipped } = counts
  const ended = done + failed + skipped
  const filled = total === 0 ? 0 : Math.floor((ended / total) * BAR)
  const figures = `${ended} of ${total}${failed > 0 ? `, ${failed} failed` : ''}`
  return `${'#'.repeat(filled)}${'.'.repeat(BAR - filled)}  ${figures}`.slice(0, Math.max(1, columns - 1))
}

/** A run with failures is done in part. */
export function exitOfRun({ status }: Run): ExitCode {
  if (status === 'succeeded') return EXIT.done
  return status === 'failed' ? EXIT.partly : EXIT.failed
}

function goesOn(error: unknown): never {
  if (!(error instanceof CommandError)) throw error
  const { message, code, exitCode, problem } = error
  const text = `${plain(message)}. The run goes on: freehold migrations status shows it`
  throw new CommandError(text, { code, exitCode, problem })
}
