import { createHash, randomBytes } from 'node:crypto'
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { EmbeddedServerError, unless } from './failure.ts'
import { identifyProcess, isStillRunning, type ProcessIdentity } from './processes.ts'

export interface Lock {
  release(): Promise<void>
}

interface Holder extends ProcessIdentity {
  nonce: string
}

/**
 * Takes the lock at `path` until this process ends. Replaces a lock whose process has ended.
 * @throws EmbeddedServerError `IN_USE` while another start (or this process itself) holds it
 */
export async function acquireLock(path: string): Promise<Lock> {
  const identity = identifyProcess(process.pid) ?? { pid: process.pid, birth: null }
  const mine: Holder = { ...identity, nonce: randomBytes(8).toString('hex') }
  const draft = `${path}.${mine.nonce}.draft`
  await writeFile(draft, JSON.stringify(mine), { flag: 'wx', mode: 0o644 })
  try {
    await take(path, draft)
  } finally {
    await rm(draft, { force: true })
  }
  return {
    release: async () => {
      if ((await readHolder(path))?.nonce === mine.nonce) await rm(path, { force: true })
    },
  }
}

/**
 * Creating a link is atomic, content included. A stale lock is replaced with `rename` and never removed first. Only the process that
 * holds a second lock, named after the stale one, may replace it. Otherwise two starts could each remove the lock that the other has
 * just created.
 */
async function take(path: string, draft: string): Promise<void> {
  for (;;) {
    if (
      (await unless(
        ['EEXIST'],
        link(draft, path).then(() => true),
      )) !== null
    )
      return
    const holder = await readHolder(path)
    if (holder === null) continue
    if (isStillRunning(holder)) throw inUse(path, holder)
    const replacementLock = `${path}.${holder.nonce}`
    await take(replacementLock, draft)
    try {
      if ((await readHolder(path))?.nonce === holder.nonce) return await replace(path, draft)
    } finally {
      await rm(replacementLock, { force: true })
    }
  }
}

async function replace(path: string, draft: string): Promise<void> {
  const second = `${draft}.second`
  await link(draft, second)
  await rename(second, path)
}

async function readHolder(path: string): Promise<Holder | null> {
  const text = await unless(['ENOENT'], readFile(path, 'utf8'))
  if (text === null) return null
  try {
    const { pid, birth, nonce } = JSON.parse(text)
    if (typeof pid === 'number' && /^[0-9a-f]{16}$/.test(nonce)) return { pid, birth: birth ?? null, nonce }
  } catch {
    // A power cut may leave an incomplete file. It counts as a lock without a process.
  }
  return { pid: 0, birth: null, nonce: createHash('sha256').update(text).digest('hex').slice(0, 16) }
}

function inUse(path: string, holder: Holder): EmbeddedServerError {
  const who = holder.pid === process.pid ? 'this process' : `process ${holder.pid}`
  return new EmbeddedServerError(
    'IN_USE',
    `The embedded PostgreSQL's data is already in use by ${who} (${path}). Stop it first, or use another directory.`,
  )
}
