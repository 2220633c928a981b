import { randomBytes } from 'node:crypto'
import { link, mkdir, open, readFile, rm } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * Reads a small secret file. If it is missing, creates it with the result of `create`. Only its owner can read it. If the process is
 * killed, the file is complete or does not exist.
 */
export async function readOrCreateSecret(path: string, create: () => string): Promise<string> {
  const known = await readIfThere(path)
  if (known !== null) return known.trim()
  // Other users must be able to enter, because the database server below this directory may run as another user.
  await mkdir(dirname(path), { recursive: true, mode: 0o711 })
  const text = create()
  const draft = `${path}.${randomBytes(4).toString('hex')}`
  const file = await open(draft, 'wx', 0o600)
  try {
    await file.writeFile(`${text}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
  try {
    // A link, because a rename would replace the file. If two starts run at once, the second uses the secret of the first.
    await link(draft, path)
    return text
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return (await readFile(path, 'utf8')).trim()
  } finally {
    await rm(draft, { force: true })
  }
}

async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

/** 32 random bytes in base64url, which is long enough for any credential. */
export function randomToken(): string {
  return randomBytes(32).toString('base64url')
}
