import { timingSafeEqual } from 'node:crypto'
import type { DataKey } from '../../crypto/keyring.ts'

/** The MAC of a seal: over the number and the hash of a row, under the service's own key. */
export function sealMac(key: DataKey, { seq, hash }: { seq: number; hash: Buffer }): Buffer {
  return key.mac('audit-seal', `${seq} ${hash.toString('hex')}`)
}

export function isSame(one: Buffer, other: Buffer): boolean {
  return one.length === other.length && timingSafeEqual(one, other)
}
