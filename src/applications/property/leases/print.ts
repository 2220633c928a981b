import { createHash } from 'node:crypto'
import { and, eq, sql } from 'drizzle-orm'
import { builder } from '../../../collections/query.ts'
import { compile, run, value } from '../../../collections/statement.ts'
import { fail } from '../../../errors.ts'
import type { TenantDb, TenantSession } from '../../../tenant/session.ts'
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

const { id, title, terms, createdAt, updatedAt } = documents
const { bytes, sha256 } = files
const findDocument = compile(
  builder
    .select({
      ...{ id, title, terms, bytes, sha256 },
      createdAt: sql`${createdAt}`.as('createdAt'),
      updatedAt: sql`${updatedAt}`.as('updatedAt'),
    })
    .from(documents)
    .leftJoin(files, and(eq(files.tenantId, documents.tenantId), eq(files.documentId, id)))
    .where(and(eq(documents.tenantId, value('tenantId', documents.tenantId)), eq(id, value('id', id)))),
)

/**
 * Prints a document of the session's tenant; throws `NOT_FOUND`, and `CONFLICT` where it has a character that cannot be drawn:
 * what people sign must say what it was made from. Once it is signed it has the same bytes for ever; until
 * then as long as what renders it stays the same.
 */
export async function printDocument(session: TenantSession, documentId: string): Promise<PrintedDocument> {
  const { tenantId } = session
  const [document] = await run<DocumentRow>(session, findDocument, { tenantId, id: documentId })
  if (document === undefined || document.terms === null) throw fail('NOT_FOUND')
  const about = { id: document.id, title: document.title, updatedAt: document.updatedAt }
  const { bytes: kept, sha256: hash } = document
  if (kept !== null && hash !== null) return { ...about, bytes: kept, sha256: hash, isKept: true }
  const bytes = await printer.print({ ...document, terms: document.terms })
  return { ...about, bytes, sha256: createHash('sha256').update(bytes).digest('hex'), isKept: false }
}

/**
 * Keeps what was printed, in the transaction that signs it first, and gives the SHA-256 of what is kept. Of two who sign
 * at once one waits here for the other and finds the document kept, maybe by another version of what renders it.
 */
export async function keepPrinted(
  { tenantId }: TenantSession,
  db: TenantDb,
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
