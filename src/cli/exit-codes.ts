/** Exit codes of the command. */
export const EXIT = {
  done: 0,
  /** Failed or refused. */
  failed: 1,
  /** The command line itself is wrong. */
  usage: 2,
  /** Done in part: a run of migrations with failures, a gateway that is degraded. */
  partly: 3,
  /** A confirmation is needed, and no terminal is there to ask. */
  unconfirmed: 4,
  /** sysexits.h, EX_CONFIG: the process cannot run with these settings. */
  config: 78,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** A command that cannot do its work. The message tells the person at the terminal what to do. */
export class CommandError extends Error {
  readonly code: string
  readonly exitCode: ExitCode
  /** All faults, if there are several. */
  readonly details: readonly string[]
  /** The gateway's own problem document, if it refused. */
  readonly problem: object | null

  constructor(
    message: string,
    {
      code,
      exitCode,
      details = [],
      problem = null,
    }: { code: string; exitCode: ExitCode; details?: readonly string[]; problem?: object | null },
  ) {
    super(message)
    this.name = 'CommandError'
    this.code = code
    this.exitCode = exitCode
    this.details = details
    this.problem = problem
  }
}

/** The command line is wrong. */
export function usageError(message: string): CommandError {
  return new CommandError(message, { code: 'USAGE', exitCode: EXIT.usage })
}
