import { open } from 'node:fs/promises'
import { isIP } from 'node:net'
import { CommandError, EXIT, usageError } from '../exit-codes.ts'
import { fileFailure } from './given-files.ts'

const FOR_OTHERS = 0o077
const MOST_BYTES = 16 * 1024
const A_TOKEN = /^[\x21-\x7e]+$/

/**
 * The gateway's address, without a slash at its end. A token is as good as a password, so without TLS it goes to this machine only.
 * @throws CommandError
 */
export function baseUrlOf(given: string): string {
  const url = URL.canParse(given) ? new URL(given) : null
  if (url === null || !['http:', 'https:'].includes(url.protocol))
    throw usageError('The URL must begin with http:// or https://, as in https://gateway.example.com')
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    throw usageError(
      'The URL must have no user, password, query or fragment. The token has its own file or setting',
    )
  if (url.protocol === 'http:' && !isLoopback(url.hostname))
    throw new CommandError(
      'A token goes over plain http to this machine only. Use https:// in FREEHOLD_URL or --url',
      { code: 'PLAIN_HTTP_REFUSED', exitCode: EXIT.failed },
    )
  return url.href.replace(/\/+$/, '')
}

function isLoopback(hostname: string): boolean {
  if (hostname === 'localhost' || hostname === '[::1]') return true
  return isIP(hostname) === 4 && hostname.startsWith('127.')
}

/** The token of the file, else the one of the setting. @throws CommandError */
export async function tokenFrom(file: string | undefined, setting: string | null): Promise<string> {
  const token = file === undefined ? setting : await tokenOfFile(file)
  if (token === null)
    throw usageError("An operator's token is needed. Set FREEHOLD_TOKEN, or name its file with --token-file")
  const trimmed = token.trim()
  if (!A_TOKEN.test(trimmed)) throw usageError('The token has a character that no token has. Copy it again')
  return trimmed
}

async function tokenOfFile(file: string): Promise<string> {
  // The file that was checked is the file that is read.
  const handle = await open(file, 'r').catch((error: unknown) => {
    throw fileFailure(file, error)
  })
  try {
    const stat = await handle.stat()
    if (!stat.isFile()) throw usageError(`${file} is not a file`)
    // Windows has no such bits.
    if (process.platform !== 'win32' && (stat.mode & FOR_OTHERS) !== 0)
      throw new CommandError(`Others can read the token in ${file}. Run: chmod 600 ${file}`, {
        code: 'TOKEN_FILE_READABLE',
        exitCode: EXIT.failed,
      })
    if (stat.size > MOST_BYTES) throw usageError(`${file} is too long for a token`)
    return await handle.readFile('utf8')
  } finally {
    await handle.close()
  }
}
