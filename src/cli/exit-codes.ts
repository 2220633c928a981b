/** How a command ends. 3 (done in part) and 4 (a confirmation is missing) belong to operators' commands. */
export const EXIT = {
  done: 0,
  /** Failed or refused. */
  failed: 1,
  /** The command line itself is wrong. */
  usage: 2,
  /** sysexits.h, EX_CONFIG: something in settings or configuration keeps the process from running. */
  config: 78,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** A command that cannot do what it was asked, told in words that the person at the terminal can act on. */
export class CommandError extends Error {
  readonly code: string
  readonly exitCode: ExitCode
  /** What is wrong, one by one, where there is more than one thing. */
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
