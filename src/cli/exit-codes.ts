/** Exit codes of the command. 3 (partly done) and 4 (confirmation missing) are reserved for operators' commands. */
export const EXIT = {
  done: 0,
  /** Failed or refused. */
  failed: 1,
  /** The command line itself is wrong. */
  usage: 2,
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

  constructor(
    message: string,
    { code, exitCode, details = [] }: { code: string; exitCode: ExitCode; details?: readonly string[] },
  ) {
    super(message)
    this.name = 'CommandError'
    this.code = code
    this.exitCode = exitCode
    this.details = details
  }
}
