import { createInterface } from 'node:readline/promises'
import { CommandError, EXIT } from '../exit-codes.ts'
import { type ApiCommand, argumentsOf } from './command.ts'
import type { Given } from './request.ts'

/**
 * Asks before what takes something away. `--yes` answers. What loses rows for ever (`--force`) needs the tenant's code: `--yes` is
 * not enough. Returns the flags with the code that was typed.
 * @throws CommandError with exit code 4 if no terminal is there to ask
 */
export async function confirmed(command: ApiCommand, given: Given): Promise<Given> {
  if (command.question === undefined) return given
  if (given.flags.force === true) {
    if (given.flags.confirm !== undefined) return given
    const confirm = await ask(
      'All rows in this database are lost. Type the code of the tenant: ',
      '--confirm CODE',
    )
    return { ...given, flags: { ...given.flags, confirm } }
  }
  if (given.flags.yes === true) return given
  const names = argumentsOf(command)
  const question = command.question.replace(/\{(\w+)\}/g, (_, name) => given.args[names.indexOf(name)] ?? '')
  if (/^y(?:es)?$/i.test(await ask(`${question} [y/N] `, '--yes'))) return given
  throw new CommandError('Nothing was changed', { code: 'NOT_CONFIRMED', exitCode: EXIT.failed })
}

async function ask(question: string, flag: string): Promise<string> {
  if (process.stdin.isTTY !== true || process.stderr.isTTY !== true)
    throw new CommandError(`This needs a confirmation, and there is no terminal to ask. Add ${flag}`, {
      code: 'CONFIRMATION_NEEDED',
      exitCode: EXIT.unconfirmed,
    })
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return (await terminal.question(question)).trim()
  } finally {
    terminal.close()
  }
}
