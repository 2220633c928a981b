import { readFile, realpath, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { unless } from './failure.ts'

/** The account that runs PostgreSQL if we are root. PostgreSQL refuses to run as root. */
export interface ServerUser {
  uid: number
  gid: number
}

/** The uid and gid of the account `nobody` on most systems. */
const defaultId = 65534

/**
 * The account that runs the server; null means our own. If we are root, it is the owner of existing data, which an ordinary user may
 * have created, or else the account `nobody`.
 */
export async function chooseServerUser(data: string): Promise<ServerUser | null> {
  if (process.getuid?.() !== 0) return null
  const existing = await unless(['ENOENT', 'ENOTDIR'], stat(data))
  if (existing !== null && existing.uid !== 0) return { uid: existing.uid, gid: existing.gid }
  return findNobody()
}

/** initdb looks up its user by number, so the system must know that number. */
async function findNobody(): Promise<ServerUser> {
  const text = (await unless(['ENOENT'], readFile('/etc/passwd', 'utf8'))) ?? ''
  const accounts = text.split('\n').map((line) => line.split(':'))
  const account =
    accounts.find((fields) => fields[2] === String(defaultId)) ??
    accounts.find((fields) => fields[0] === 'nobody')
  if (account === undefined) return { uid: defaultId, gid: defaultId }
  return { uid: Number(account[2]) >>> 0, gid: Number(account[3]) >>> 0 }
}

/** True if the user may enter this directory and every directory above it. */
export async function canEnter(directory: string, user: ServerUser | null): Promise<boolean> {
  if (user === null) return true
  for (let path = await realpath(directory); ; path = dirname(path)) {
    if (!(await isGranted(path, user, 0o1))) return false
    if (path === dirname(path)) return true
  }
}

/** True if the mode of a file or directory allows the user to read it. */
export async function canRead(path: string, user: ServerUser | null): Promise<boolean> {
  return user === null || (await isGranted(path, user, 0o4))
}

async function isGranted(path: string, user: ServerUser, bit: number): Promise<boolean> {
  const { mode, uid, gid } = await stat(path)
  if (uid === user.uid) return (mode & (bit << 6)) !== 0
  if (gid === user.gid) return (mode & (bit << 3)) !== 0
  return (mode & bit) !== 0
}
