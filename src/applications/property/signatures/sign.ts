import { and, eq, sql } from 'drizzle-orm'
import { etagOf, parseIfMatch } from '../../../collections/etag.ts'
import type { Tagged } from '../../../collections/model.ts'
import { within } from '../../../collections/within.ts'
import { fail } from '../../../errors.ts'
import { newId } from '../../../lib/ids.ts'
import type { TenantDb, TenantSession } from '../../../tenant/session.ts'
import { keepPrinted, type PrintedDocument, printDocument } from '../leases/print.ts'
import { documents, proofs, signatures as table } from '../tables/records.ts'
import { type Attestation, proofHash } from './proof-hash.ts'
import { signatures } from './signatures.ts'

/** How a signature was asked to change. */
export interface Signing {
  readonly id: string
  readonly ifMatch?: string | undefined
  /** Where the signer's request came from. */
  readonly address: string
}

/**
 *   pending ──sign──▶ signed, with its proof in the same transaction
 *      └────decline──▶ declined
 *
 * The document is printed before the transaction, which then checks that both rows are still those that were read: so
 * no connection is held while a PDF is made, and what is proven is what was printed. These bytes are kept.
 *
 * @throws PublicError NOT_FOUND; CONFLICT unless the signature is pending; PRECONDITION_FAILED
 */
export async function sign(session: TenantSession, { id, ifMatch, address }: Signing): Promise<Tagged> {
  const pending = await findPending(session, id, ifMatch)
  const { documentId, signerName, signerEmail } = pending.row as unknown as SignatureRow
  const printed = await printDocument(session, documentId)
  return session.transaction(async (db) => {
    const signed = await settle(within(session.tenantId, db), pending, 'signed')
    await holdDocument(session, db, printed)
    const documentSha256 = await keepPrinted(session, db, printed)
    const content = { signatureId: signed.row.id, documentId, documentSha256 }
    await addProof(session, db, { ...content, signerName, signerEmail, address })
    return signed
  })
}

/** Declines a signature; throws as `sign`. */
export async function decline(
  session: TenantSession,
  { id, ifMatch }: Omit<Signing, 'address'>,
): Promise<Tagged> {
  const pending = await findPending(session, id, ifMatch)
  return session.transaction((db) => settle(within(session.tenantId, db), pending, 'declined'))
}

interface SignatureRow {
  readonly documentId: string
  readonly signerName: string
  readonly signerEmail: string
}

const NOT_PENDING = 'The signature is no longer pending'

async function findPending(session: TenantSession, id: string, ifMatch?: string): Promise<Tagged> {
  const found = await signatures.find(session, id)
  const known = parseIfMatch(ifMatch)
  if (known !== null && !known.includes(found.etag)) throw fail('PRECONDITION_FAILED')
  if (found.row.status !== 'pending') throw fail('CONFLICT', { detail: NOT_PENDING })
  return found
}

/** Of several who settle one signature at once, one finds it as it was. */
async function settle(
  session: TenantSession,
  { row, etag }: Tagged,
  status: 'signed' | 'declined',
): Promise<Tagged> {
  const settled = await session.db
    .update(table)
    .set({ status, updatedAt: sql`now()` })
    .where(and(eq(table.tenantId, session.tenantId), eq(table.id, row.id), eq(etagOf(table), etag)))
    .returning({ id: table.id })
  if (settled.length === 0) throw fail('CONFLICT', { detail: NOT_PENDING })
  return signatures.find(session, row.id)
}

/** Nobody changes the document until the proof is written; before that, nobody may have. */
async function holdDocument(
  { tenantId }: TenantSession,
  db: TenantDb,
  printed: PrintedDocument,
): Promise<void> {
  const { id, updatedAt } = documents
  const held = await db
    .select({ id })
    .from(documents)
    .where(and(eq(documents.tenantId, tenantId), eq(id, printed.id), eq(updatedAt, printed.updatedAt)))
    .for('share')
  if (held.length === 0) throw fail('CONFLICT', { detail: 'The document has just been changed' })
}

type Unnumbered = Omit<Attestation, 'number' | 'signedAt' | 'previousHash'>

/** Appends to the tenant's chain. Under a lock, so that numbers have no gaps and each proof follows the one before. */
async function addProof({ tenantId }: TenantSession, db: TenantDb, content: Unnumbered): Promise<void> {
  await db.execute(sql`select pg_advisory_xact_lock(hashtextextended(${`proofs of ${tenantId}`}, 0))`)
  // A statement of its own: it sees what was committed while it waited. The server's clock, written by the server, so
  // that the hash is over the very text that is answered.
  const { rows } = await db.execute<{ signedAt: string; number: number | null; hash: string | null }>(sql`
    select clock_timestamp() as "signedAt", last.number, last.hash from (select) as one
    left join lateral (
      select number, hash from ${proofs} where tenant_id = ${tenantId} order by number desc limit 1
    ) as last on true`)
  const [last] = rows
  if (last === undefined) throw new Error('the end of the chain was not read')
  const { signedAt, number, hash: previousHash } = last
  const attestation = { ...content, number: (number ?? 0) + 1, signedAt, previousHash }
  await db.insert(proofs).values({ tenantId, id: newId(), ...attestation, hash: proofHash(attestation) })
}
