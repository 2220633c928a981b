import { asc, eq, isNull } from 'drizzle-orm'
import type { DataKey } from '../../crypto/keyring.ts'
import { type CatalogStore, catalogErrors } from '../store.ts'
import { isSame, sealMac } from './macs.ts'
import { auditAnchors, auditFormerSeals, auditLog } from './schema.ts'

/** The first row at which the audit log is not what was written. */
export interface AuditBreak {
  readonly seq: number
  /** missing: rows are gone from here on. changed: the row differs from the one that was chained. resealed: the chain was rewritten. */
  readonly reason: 'missing' | 'changed' | 'resealed'
}

type Anchor = typeof auditAnchors.$inferSelect

/**
 * Seals the anchor of a migration that rewrote the chain. Checks the seals of the former chain first: this service must have made
 * them, for the rows that the migration found. Does nothing without an unsealed anchor.
 * @returns the sealed anchor, or null
 */
export async function sealAnchor(
  store: CatalogStore,
  key: DataKey,
): Promise<{ throughSeq: number; firstBreak: number | null } | null> {
  const { db } = store
  const [anchor] = await catalogErrors(db.select().from(auditAnchors).where(isNull(auditAnchors.mac)))
  if (anchor === undefined) return null
  const firstBreak = earliest(anchor.firstBreak, await firstFormerBreak(store, key))
  const { throughSeq } = anchor
  const mac = anchorMac(key, { ...anchor, firstBreak })
  const update = db.update(auditAnchors).set({ firstBreak, mac })
  await catalogErrors(update.where(isNull(auditAnchors.mac)))
  return { throughSeq, firstBreak }
}

/** The break that an anchor records, or a break of the anchor itself; null if there is none. */
export async function anchorBreak(store: CatalogStore, key: DataKey): Promise<AuditBreak | null> {
  const query = store.db
    .select({ anchor: auditAnchors, present: auditLog.hash })
    .from(auditAnchors)
    .leftJoin(auditLog, eq(auditLog.seq, auditAnchors.throughSeq))
    .orderBy(asc(auditAnchors.throughSeq))
  for (const { anchor, present } of await catalogErrors(query)) {
    const { throughSeq: seq, firstBreak, hash } = anchor
    const isSound = anchor.mac !== null && isSame(anchor.mac, anchorMac(key, anchor)) && present?.equals(hash)
    if (!isSound) return { seq, reason: 'resealed' }
    if (firstBreak !== null) return { seq: firstBreak, reason: 'changed' }
  }
  return null
}

async function firstFormerBreak(store: CatalogStore, key: DataKey): Promise<number | null> {
  const query = store.db.select().from(auditFormerSeals).orderBy(asc(auditFormerSeals.seq))
  const seals = await catalogErrors(query)
  const broken = seals.find(({ seq, hash, mac, found }) => {
    return found === null || !found.equals(hash) || !isSame(mac, sealMac(key, { seq, hash }))
  })
  return broken?.seq ?? null
}

function anchorMac(key: DataKey, { throughSeq, formerHash, hash, firstBreak }: Anchor): Buffer {
  const hashes = [formerHash, hash].map((bytes) => bytes.toString('hex'))
  return key.mac('audit-seal', JSON.stringify(['anchor', throughSeq, ...hashes, firstBreak]))
}

function earliest(one: number | null, other: number | null): number | null {
  if (one === null || other === null) return one ?? other
  return Math.min(one, other)
}
