import { createHash } from 'node:crypto'
import { and, eq } from 'drizzle-orm'
import { problem, type Tenant } from '../../../index.ts'
import { documents, documentFiles as files } from '../tables/records.ts'
import type { PrintableDocument } from './lease-pdf.ts'
import { Printer } from './printer.ts'

/** A printed document. */
export interface PrintedDocument {
  readonly id: string
  readonly title: string
  /** The row's version. While it is unchanged, the bytes match the document. */
  readonly updatedAt: string
  readonly bytes: Buffer
  readonly sha256: string
  /** True for a signed document: these are the signed bytes. */
  readonly isKept: boolean
}

interface DocumentRow extends Omit<PrintableDocument, 'terms'> {
  readonly updatedAt: string
  readonly terms: PrintableDocument['terms'] | null
  readonly bytes: Buffer | null
  readonly sha256: string | null
}

/** One for all tenants: more threads would not print faster, because the cores are the limit. */
const printer = new Printer()

/**
 * Prints a document of the tenant. A signed document keeps its bytes for ever. An unsigned one keeps them until Freehold renders
 * documents differently.
 * @throws PublicError NOT_FOUND; CONFLICT if a character cannot be drawn, because people must sign exactly the document's text
 */
export async function printDocument(tenant: Tenant, documentId: string): Promise<PrintedDocument> {
  const document = await findDocument(tenant, documentId)
  if (document === undefined || document.terms === null) return problem('NOT_FOUND')
  const about = { id: document.id, title: document.title, updatedAt: document.updatedAt }
  const { bytes: kept, sha256: hash } = document
  if (kept !== null && hash !== null) return { ...about, bytes: kept, sha256: hash, isKept: true }
  const bytes = await printer.print({ ...document, terms: document.terms })
  return { ...about, bytes, sha256: createHash('sha256').update(bytes).digest('hex'), isKept: false }
}

async function findDocument(tenant: Tenant, documentId: string): Promise<DocumentRow | undefined> {
  const { id, title, terms, createdAt, updatedAt } = documents
  const { bytes, sha256 } = files
  const [found] = await tenant.db
    .select({ id, title, terms, createdAt, updatedAt, bytes, sha256 })
    .from(documents)
    .leftJoin(files, and(eq(files.tenantId, documents.tenantId), eq(files.documentId, id)))
    .where(and(eq(documents.tenantId, tenant.id), eq(id, documentId)))
  return found as DocumentRow | undefined
}

/**
 * Stores the printed bytes in the transaction of the first signature, and returns the SHA-256 of the stored bytes. When two
 * people sign at once, one transaction waits here for the other. It then finds stored bytes, perhaps printed by another version
 * of Freehold.
 */
export async function keepPrinted(
  { id: tenantId, db }: Tenant,
  { id: documentId, isKept, bytes, sha256 }: PrintedDocument,
): Promise<string> {
  if (isKept) return sha256
  await db.insert(files).values({ tenantId, documentId, bytes, sha256 }).onConflictDoNothing()
  // A separate statement, because it sees rows that were committed while the insert waited.
  const isThis = and(eq(files.tenantId, tenantId), eq(files.documentId, documentId))
  const [kept] = await db.select({ sha256: files.sha256 }).from(files).where(isThis)
  if (kept === undefined) throw new Error('the printed document was not stored')
  return kept.sha256
}
