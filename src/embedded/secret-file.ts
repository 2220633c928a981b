import { randomBytes } from 'node:crypto'
import { link, mkdir, open, readFile, rm } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * Reads a small secret file, or makes it once with what `create` gives: readable by its owner only, and complete or not
 * there at all, whenever the process is killed.
 */
export async function readOrCreateSecret(path: string, create: () => string): Promise<string> {
  const known = await readIfThere(path)
  if (known !== null) return known.trim()
  // Others must be able to pass: the database server may run as another user, further down.
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
    // A link, not a rename: of two starts at once the second takes what the first has made, and replaces nothing.
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

/** 32 random bytes in base64url: long enough for any credential. */
export function randomToken(): string {
  return randomBytes(32).toString('base64url')
}
