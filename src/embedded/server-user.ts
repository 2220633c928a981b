import { readFile, realpath, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { unless } from './failure.ts'

/** The account PostgreSQL runs under when we are root, which PostgreSQL itself refuses to be. */
export interface ServerUser {
  uid: number
  gid: number
}

/** The uid and gid of the account `nobody` on most systems. */
const defaultId = 65534

/**
 * The account that runs the server; null means our own. As root it is the owner of data that is there already (made by an
 * ordinary user earlier, say), otherwise the account `nobody`.
 */
export async function chooseServerUser(data: string): Promise<ServerUser | null> {
  if (process.getuid?.() !== 0) return null
  const existing = await unless(['ENOENT', 'ENOTDIR'], stat(data))
  if (existing !== null && existing.uid !== 0) return { uid: existing.uid, gid: existing.gid }
  return findNobody()
}

/** initdb looks its user up by number, so it has to be one that the system knows. */
async function findNobody(): Promise<ServerUser> {
  const text = (await unless(['ENOENT'], readFile('/etc/passwd', 'utf8'))) ?? ''
  const accounts = text.split('\n').map((line) => line.split(':'))
  const account =
    accounts.find((fields) => fields[2] === String(defaultId)) ??
    accounts.find((fields) => fields[0] === 'nobody')
  if (account === undefined) return { uid: defaultId, gid: defaultId }
  return { uid: Number(account[2]) >>> 0, gid: Number(account[3]) >>> 0 }
}

/** Whether the user may walk into this directory: every directory above it has to let them through. */
export async function canEnter(directory: string, user: ServerUser | null): Promise<boolean> {
  if (user === null) return true
  for (let path = await realpath(directory); ; path = dirname(path)) {
    if (!(await isGranted(path, user, 0o1))) return false
    if (path === dirname(path)) return true
  }
}

/** Whether the mode of a file or directory lets the user read it. */
export async function canRead(path: string, user: ServerUser | null): Promise<boolean> {
  return user === null || (await isGranted(path, user, 0o4))
}

async function isGranted(path: string, user: ServerUser, bit: number): Promise<boolean> {
  const { mode, uid, gid } = await stat(path)
  if (uid === user.uid) return (mode & (bit << 6)) !== 0
  if (gid === user.gid) return (mode & (bit << 3)) !== 0
  return (mode & bit) !== 0
}
