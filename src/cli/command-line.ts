import { Command, CommanderError } from 'commander'
import { VERSION } from '../version.ts'
import { programHelp } from './calls/help.ts'
import { addApiCommands } from './calls/register.ts'
import { addDev } from './dev.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { addInit } from './init.ts'
import { addMigrate } from './migrate.ts'
import { addSchema } from './schema/command.ts'
import { addStart } from './start.ts'

/** In the order in which a new user needs them. */
const COMMANDS = [addInit, addDev, addStart, addMigrate, addSchema]

/** Runs one command. Output goes to stdout, errors to stderr. Returns the exit code. */
export async function runCommandLine(args: readonly string[]): Promise<ExitCode> {
  const json = args.includes('--json')
  try {
    let ended: ExitCode = EXIT.done
    const program = createProgram({ json })
    addApiCommands(program, (code) => {
      ended = code
    })
    await program.parseAsync(args, { from: 'user' })
    return ended
  } catch (error) {
    if (!(error instanceof CommanderError)) {
      const { reportFailure } = await import('./failures.ts')
      return reportFailure(error, { json })
    }
    if (error.exitCode === 0) return EXIT.done
    if (json) process.stderr.write(`${JSON.stringify({ title: error.message, code: 'USAGE' })}\n`)
    return EXIT.usage
  }
}

function createProgram({ json }: { json: boolean }): Command {
  const program = new Command('freehold')
    .description('Database-per-tenant routing gateway for PostgreSQL')
    .version(VERSION)
    .exitOverride()
    .showHelpAfterError('(freehold --help lists the commands)')
    // With --json stderr gets only the problem document.
    .configureOutput({ ...(json && { writeErr: () => undefined }) })
  for (const add of COMMANDS) add(program)
  program.helpInformation = () => programHelp(program)
  return program
}
