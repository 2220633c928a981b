import { styleText } from 'node:util'
import { ApplicationError } from '../application.ts'
import { SettingsError } from '../config/environment.ts'
import { showsStacks } from '../config.ts'
import { EmbeddedServerError } from '../embedded/failure.ts'
import { StartRefusedError } from '../gateway/start/start-refusals.ts'
import { databaseError } from '../lib/postgres/database-error.ts'
import { plain } from './calls/plain-text.ts'
import { CommandError, EXIT, type ExitCode } from './exit-codes.ts'
import { lineOf } from './load-failure.ts'

/** A failure as it is printed: lines for a person, or a problem document for a program. */
export interface Failure {
  readonly code: string
  readonly exitCode: ExitCode
  readonly lines: readonly string[]
  /** What --json prints instead of a document made of the lines. */
  readonly problem?: object | null
}

/** What to do about an error of the operating system, by its code. */
const SYSTEM_REMEDIES: Readonly<Record<string, string>> = {
  EACCES: 'Give this account the right to do that, or use another path',
  EPERM: 'Give this account the right to do that, or use another path',
  EROFS: 'That file system is read-only. Use another path',
  ENOENT: 'Create what is missing, or correct the path',
  ENAMETOOLONG: 'Use a shorter name',
  ENOSPC: 'The disk is full. Make room, and run the command again',
  EMFILE: 'Too many files are open. Raise the limit: ulimit -n',
}
const FIND_OUT = 'Run it again with LOG_LEVEL=debug to see where'

/** The failure to print for an error: never a stack. */
export function failureOf(error: unknown): Failure {
  if (error instanceof CommandError)
    return {
      code: error.code,
      exitCode: error.exitCode,
      lines: [error.message, ...error.details],
      problem: error.problem,
    }
  if (error instanceof SettingsError) {
    const lines = error.problems.map(({ name, message }) => `${name} ${message}`)
    return { code: 'SETTINGS_INVALID', exitCode: EXIT.config, lines }
  }
  if (error instanceof StartRefusedError)
    return { code: error.code, exitCode: EXIT.config, lines: [`${error.message} (${error.code})`] }
  if (error instanceof ApplicationError)
    return { code: 'APPLICATION_INVALID', exitCode: EXIT.config, lines: error.problems }
  if (error instanceof EmbeddedServerError)
    return { code: error.code, exitCode: EXIT.failed, lines: [error.message] }
  return { code: 'INTERNAL_ERROR', exitCode: EXIT.failed, lines: [unexpected(error)] }
}

/** One line for an error that no command expects. Repeats no text of a database: it may hold values of rows. */
function unexpected(error: unknown): string {
  if (!(error instanceof Error)) return `Something that is no error was thrown. ${FIND_OUT}`
  const state = databaseError(error)?.code
  if (state !== undefined) return `The database refused a statement (${state}). ${FIND_OUT}`
  const { code, syscall } = error as NodeJS.ErrnoException
  const [first = ''] = error.message.split('\n', 1)
  if (code !== undefined && syscall !== undefined)
    return `${plain(first)}. ${SYSTEM_REMEDIES[code] ?? FIND_OUT}`
  const at = lineOf(error, process.cwd())
  const place = at === null ? 'in freehold, or in what it loaded' : `at ${at}`
  return plain(`${error.name} ${place}: ${first.replace(/\.$/, '')}. ${FIND_OUT}`)
}

/** Prints the failure on stderr and returns the exit code. */
export function reportFailure(error: unknown, { json = false }: { json?: boolean } = {}): ExitCode {
  const { code, exitCode, lines, problem } = failureOf(error)
  const document = problem ?? {
    title: lines[0],
    code,
    ...(lines.length > 1 && { errors: lines.slice(1).map((message) => ({ message })) }),
  }
  const text = json
    ? JSON.stringify(document)
    : lines.map((line) => styleText('red', line, { stream: process.stderr })).join('\n')
  process.stderr.write(`${text}\n`)
  if (code === 'INTERNAL_ERROR' && !json && showsStacks() && error instanceof Error)
    process.stderr.write(`${error.stack ?? ''}\n`)
  return exitCode
}
