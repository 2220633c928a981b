import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { CommandError, EXIT } from '../exit-codes.ts'
import { plain } from './plain-text.ts'

const FAULTS: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  EACCES: 'may not be read by this account',
  EISDIR: 'is a folder',
}

/** The text of a file, or of stdin for `-`, without the line break at its end. @throws CommandError */
export async function textOfFile(file: string): Promise<string> {
  const whole = file === '-' ? await text(process.stdin) : await read(file)
  return whole.replace(/\r?\n$/, '')
}

/** @throws CommandError that repeats nothing of the file */
export async function jsonOfFile(file: string): Promise<unknown> {
  const found = await textOfFile(file)
  try {
    return JSON.parse(found)
  } catch {
    throw new CommandError(`${plain(file)} is not JSON`, { code: 'FILE_INVALID', exitCode: EXIT.usage })
  }
}

async function read(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    throw fileFailure(file, error)
  }
}

export function fileFailure(file: string, error: unknown): CommandError {
  const code = (error as NodeJS.ErrnoException).code ?? 'UNKNOWN'
  const message = `${plain(file)} ${FAULTS[code] ?? 'cannot be read'} (${code})`
  return new CommandError(message, { code: 'FILE_NOT_READ', exitCode: EXIT.failed })
}
