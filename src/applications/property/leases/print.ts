import { createHash } from 'node:crypto'
import { and, eq } from 'drizzle-orm'
import { problem, type Tenant } from '../../../index.ts'
import { documents, documentFiles as files } from '../tables/records.ts'
import type { PrintableDocument } from './lease-pdf.ts'
import { Printer } from './printer.ts'

/** A document in print. */
export interface PrintedDocument {
  readonly id: string
  readonly title: string
  /** The row's version: what was printed is what the document says as long as this is the same. */
  readonly updatedAt: string
  readonly bytes: Buffer
  readonly sha256: string
  /** True once it is signed: these are the bytes that were. */
  readonly isKept: boolean
}

interface DocumentRow extends Omit<PrintableDocument, 'terms'> {
  readonly updatedAt: string
  readonly terms: PrintableDocument['terms'] | null
  readonly bytes: Buffer | null
  readonly sha256: string | null
}

/** One for all tenants: a thread more for each would not print faster than the cores do. */
const printer = new Printer()

/**
 * Prints a document of the session's tenant; throws `NOT_FOUND`, and `CONFLICT` where it has a character that cannot be drawn:
 * what people sign must say what it was made from. Once it is signed it has the same bytes for ever; until
 * then as long as what renders it stays the same.
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
 * Keeps what was printed, in the transaction that signs it first, and gives the SHA-256 of what is kept. Of two who sign
 * at once one waits here for the other and finds the document kept, maybe by another version of what renders it.
 */
export async function keepPrinted(
  { id: tenantId, db }: Tenant,
  { id: documentId, isKept, bytes, sha256 }: PrintedDocument,
): Promise<string> {
  if (isKept) return sha256
  await db.insert(files).values({ tenantId, documentId, bytes, sha256 }).onConflictDoNothing()
  // A statement of its own: it sees what was committed while the one before waited.
  const isThis = and(eq(files.tenantId, tenantId), eq(files.documentId, documentId))
  const [kept] = await db.select({ sha256: files.sha256 }).from(files).where(isThis)
  if (kept === undefined) throw new Error('the document was not kept')
  return kept.sha256
}
