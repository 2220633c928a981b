import { existsSync, realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Application, ApplicationError, isApplication } from '../application.ts'
import { CommandError, EXIT } from './exit-codes.ts'
import { describeLoadFailure } from './load-failure.ts'

const WRITE = 'Write: export default defineApplication({ … })'
const NOT_DEFINED = `was not made by defineApplication. ${WRITE}`

/**
 * Loads the application that is the default export of a file. Node itself loads TypeScript; it only removes types.
 * @throws CommandError with exit code 78 that names the file and the remedy
 */
export async function loadApplication(file: string): Promise<Application> {
  const path = resolve(file)
  if (!existsSync(path)) {
    throw refusal(
      'APPLICATION_NOT_FOUND',
      `${file} does not exist. Run the command in the application's folder, name its file with --app FILE, ` +
        'or make an application with: freehold init DIR',
    )
  }
  const loaded = await importModule(file, path)
  const made = loaded.default
  if (made === undefined) throw refusal('APPLICATION_INVALID', `${file} has no default export. ${WRITE}`)
  if (isApplication(made)) return made
  throw refusal(
    'APPLICATION_INVALID',
    otherCopy(file, path) ?? `The default export of ${file} ${NOT_DEFINED}`,
  )
}

async function importModule(file: string, path: string): Promise<{ default?: unknown }> {
  try {
    return await Promise.race([import(pathToFileURL(path).href), endOfWork()])
  } catch (error) {
    if (error instanceof ApplicationError)
      throw refusal(
        'APPLICATION_INVALID',
        `${file} declares an application that cannot be used:`,
        error.problems,
      )
    throw refusal('APPLICATION_NOT_LOADED', `${file} cannot be loaded: ${describeLoadFailure(error)}.`)
  }
}

/** Rejects when the process has nothing left to do while the file still loads. Otherwise Node would end without a message. */
function endOfWork(): Promise<never> {
  return new Promise((_, reject) => {
    process.once('beforeExit', () => reject(new Error('its top-level await never resolves')))
  })
}

/** A globally installed command does not recognise an application that another copy of the package has made. */
function otherCopy(file: string, path: string): string | null {
  try {
    const theirs = realpathSync(createRequire(path).resolve('freehold/package.json'))
    if (theirs === realpathSync(new URL('../../package.json', import.meta.url))) return null
    return `${file} imports another copy of freehold than the one that runs. Run the installed copy: npx freehold`
  } catch {
    return null
  }
}

function refusal(code: string, message: string, details: readonly string[] = []): CommandError {
  return new CommandError(message, { code, exitCode: EXIT.config, details })
}
