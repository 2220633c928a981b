import { styleText } from 'node:util'
import { ApplicationError } from '../application.ts'
import { SettingsError } from '../config/environment.ts'
import { EmbeddedServerError } from '../embedded/failure.ts'
import { StartRefusedError } from '../gateway/start/start-refusals.ts'
import { CommandError, EXIT, type ExitCode } from './exit-codes.ts'

/** A failure as it is printed: lines for a person, or a problem document for a program. */
export interface Failure {
  readonly code: string
  readonly exitCode: ExitCode
  readonly lines: readonly string[]
  /** What --json prints instead of a document made of the lines. */
  readonly problem?: object | null
}

/** The failure to print for an error. Only an unexpected error shows its stack. */
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
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return { code: 'INTERNAL_ERROR', exitCode: EXIT.failed, lines: [text] }
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
  return exitCode
}
