import { and, eq, sql } from 'drizzle-orm'
import { etagOf, parseIfMatch, problem, type Tagged, type Tenant } from '../../../index.ts'
import { keepPrinted, type PrintedDocument, printDocument } from '../leases/print.ts'
import { documents, proofs, signatures as table } from '../tables/records.ts'
import { type Attestation, proofHash } from './proof-hash.ts'
import { signatures } from './signatures.ts'

/** A request to sign or decline a signature. */
export interface StatusChange {
  readonly id: string
  readonly ifMatch?: string | undefined
  /** The IP address of the signer's request. */
  readonly address: string
}

/**
 *   pending ──sign──▶ signed, with its proof in the same transaction
 *      └────decline──▶ declined
 *
 * The document is printed before the transaction, so that no connection is held meanwhile. The transaction then checks that neither
 * the signature nor the document has changed, and stores the printed bytes.
 *
 * @throws PublicError NOT_FOUND; CONFLICT unless the signature is pending; PRECONDITION_FAILED
 */
export async function sign(tenant: Tenant, { id, ifMatch, address }: StatusChange): Promise<Tagged> {
  const pending = await findPending(tenant, id, ifMatch)
  const { documentId, signerName, signerEmail } = pending.row as unknown as SignatureRow
  const printed = await printDocument(tenant, documentId)
  return tenant.transaction(async (_db, inside) => {
    const signed = await setStatus(inside, pending, 'signed')
    await lockDocument(inside, printed)
    const documentSha256 = await keepPrinted(inside, printed)
    const content = { signatureId: signed.row.id, documentId, documentSha256 }
    await addProof(inside, { ...content, signerName, signerEmail, address })
    return signed
  })
}

/** Declines a signature; throws as `sign`. */
export async function decline(
  tenant: Tenant,
  { id, ifMatch }: Omit<StatusChange, 'address'>,
): Promise<Tagged> {
  const pending = await findPending(tenant, id, ifMatch)
  return tenant.transaction((_db, inside) => setStatus(inside, pending, 'declined'))
}

interface SignatureRow {
  readonly documentId: string
  readonly signerName: string
  readonly signerEmail: string
}

const NOT_PENDING = 'The signature is no longer pending'

async function findPending(tenant: Tenant, id: string, ifMatch?: string): Promise<Tagged> {
  const found = await signatures.find(tenant, id)
  const known = parseIfMatch(ifMatch)
  if (known !== null && !known.includes(found.etag)) problem('PRECONDITION_FAILED')
  if (found.row.status !== 'pending') problem('CONFLICT', NOT_PENDING)
  return found
}

/** The condition on the ETag lets only one of several concurrent requests change the signature. */
async function setStatus(
  inside: Tenant,
  { row, etag }: Tagged,
  status: 'signed' | 'declined',
): Promise<Tagged> {
  const changed = await inside.db
    .update(table)
    .set({ status, updatedAt: sql`now()` })
    .where(and(eq(table.tenantId, inside.id), eq(table.id, row.id), eq(etagOf(table), etag)))
    .returning({ id: table.id })
  if (changed.length === 0) problem('CONFLICT', NOT_PENDING)
  return signatures.find(inside, row.id)
}

/** Locks the document against changes until the proof is written, and checks that it was not changed before. */
async function lockDocument({ id: tenantId, db }: Tenant, printed: PrintedDocument): Promise<void> {
  const { id, updatedAt } = documents
  const locked = await db
    .select({ id })
    .from(documents)
    .where(and(eq(documents.tenantId, tenantId), eq(id, printed.id), eq(updatedAt, printed.updatedAt)))
    .for('share')
  if (locked.length === 0) problem('CONFLICT', 'The document has just been changed')
}

type Unnumbered = Omit<Attestation, 'number' | 'signedAt' | 'previousHash'>

/** Appends a proof to the tenant's chain. The lock keeps the numbers without gaps and each proof linked to the one before. */
async function addProof({ id: tenantId, db }: Tenant, content: Unnumbered): Promise<void> {
  await db.execute(sql`select pg_advisory_xact_lock(hashtextextended(${`proofs of ${tenantId}`}, 0))`)
  // A separate statement, because it sees rows that were committed while the lock waited. The server formats its own
  // time, so that the hash covers the same text that the API answers.
  const { rows } = await db.execute<{ signedAt: string; number: number | null; hash: string | null }>(sql`
    select clock_timestamp() as "signedAt", last.number, last.hash from (select) as one
    left join lateral (
      select number, hash from ${proofs} where tenant_id = ${tenantId} order by number desc limit 1
    ) as last on true`)
  const [last] = rows
  if (last === undefined) throw new Error('the end of the chain was not read')
  const { signedAt, number, hash: previousHash } = last
  const attestation = { ...content, number: (number ?? 0) + 1, signedAt, previousHash }
  await db.insert(proofs).values({ tenantId, ...attestation, hash: proofHash(attestation) })
}
