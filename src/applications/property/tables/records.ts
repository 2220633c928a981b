import { sql } from 'drizzle-orm'
import {
  bigint,
  check,
  foreignKey,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  text,
  uniqueIndex,
  uuid,
} from 'drizzle-orm/pg-core'
import { tenantTable } from '../../../index.ts'
import { bytea, createdAt, folded, moment, tenantId } from './columns.ts'
import { leases } from './properties.ts'

/** `terms` is a copy of the lease from when the document was made. A signed document does not change with the lease. */
export const documents = tenantTable(
  'documents',
  {
    leaseId: uuid('lease_id').notNull(),
    title: text('title').notNull(),
    terms: jsonb('terms').$type<Record<string, unknown>>(),
  },
  (t) => [
    index('documents_lease_idx').on(t.tenantId, t.leaseId, t.createdAt, t.id),
    index('documents_created_idx').on(t.tenantId, t.createdAt, t.id),
    index('documents_title_idx').on(t.tenantId, t.title, t.id),
    foreignKey({
      name: 'documents_lease_fkey',
      columns: [t.tenantId, t.leaseId],
      foreignColumns: [leases.tenantId, leases.id],
    }),
  ],
)

/**
 * The printed bytes of a document, stored with its first signature and append-only. Another version of Freehold may print other
 * bytes, but the signature is for these. The check makes sure that the hash belongs to the bytes.
 */
export const documentFiles = pgTable(
  'document_files',
  {
    tenantId: tenantId(),
    documentId: uuid('document_id').notNull(),
    bytes: bytea('bytes').notNull(),
    sha256: text('sha256').notNull(),
    createdAt: createdAt(),
  },
  (t) => [
    primaryKey({ name: 'document_files_pkey', columns: [t.tenantId, t.documentId] }),
    foreignKey({
      name: 'document_files_document_fkey',
      columns: [t.tenantId, t.documentId],
      foreignColumns: [documents.tenantId, documents.id],
    }),
    check('document_files_sha256_check', sql`${t.sha256} = encode(sha256(${t.bytes}), 'hex')`),
  ],
)

export const signatures = tenantTable(
  'signatures',
  {
    documentId: uuid('document_id').notNull(),
    signerName: text('signer_name').notNull(),
    signerEmail: text('signer_email').notNull(),
    signerEmailFolded: folded('signer_email'),
    status: text('status').$type<'pending' | 'signed' | 'declined'>().notNull().default('pending'),
  },
  (t) => [
    index('signatures_document_idx').on(t.tenantId, t.documentId, t.createdAt, t.id),
    index('signatures_status_idx').on(t.tenantId, t.status, t.createdAt, t.id),
    index('signatures_created_idx').on(t.tenantId, t.createdAt, t.id),
    index('signatures_email_idx').on(t.tenantId, t.signerEmailFolded, t.createdAt, t.id),
    foreignKey({
      name: 'signatures_document_fkey',
      columns: [t.tenantId, t.documentId],
      foreignColumns: [documents.tenantId, documents.id],
    }),
    check('signatures_status_check', sql`${t.status} in ('pending', 'signed', 'declined')`),
  ],
)

/** One proof for each signed signature; append-only. A tenant's numbers have no gaps, and each proof has the hash of the one before. */
export const proofs = tenantTable(
  'proofs',
  {
    number: integer('number').notNull(),
    signatureId: uuid('signature_id').notNull(),
    documentId: uuid('document_id').notNull(),
    documentSha256: text('document_sha256').notNull(),
    signerName: text('signer_name').notNull(),
    signerEmail: text('signer_email').notNull(),
    signedAt: moment('signed_at').notNull(),
    address: text('address'),
    previousHash: text('previous_hash'),
    hash: text('hash').notNull(),
  },
  (t) => [
    uniqueIndex('proofs_number_key').on(t.tenantId, t.number),
    uniqueIndex('proofs_signature_key').on(t.tenantId, t.signatureId),
    index('proofs_document_idx').on(t.tenantId, t.documentId, t.createdAt, t.id),
    index('proofs_created_idx').on(t.tenantId, t.createdAt, t.id),
    foreignKey({
      name: 'proofs_signature_fkey',
      columns: [t.tenantId, t.signatureId],
      foreignColumns: [signatures.tenantId, signatures.id],
    }),
    check('proofs_sha256_check', sql`${t.documentSha256} ~ '^[0-9a-f]{64}$'`),
    check('proofs_hash_check', sql`${t.hash} ~ '^[0-9a-f]{64}$'`),
  ],
)

/** The ledger of credits, append-only: positive amounts were bought, negative ones spent. A trigger updates the balance. */
export const credits = tenantTable(
  'credits',
  {
    amount: integer('amount').notNull(),
    paymentReference: text('payment_reference').notNull(),
  },
  (t) => [
    uniqueIndex('credits_purchase_key').on(t.tenantId, t.paymentReference).where(sql`${t.amount} > 0`),
    index('credits_created_idx').on(t.tenantId, t.createdAt, t.id),
    index('credits_reference_idx').on(t.tenantId, t.paymentReference, t.createdAt, t.id),
    check('credits_amount_check', sql`${t.amount} <> 0`),
  ],
)

/** The sum of the ledger. The check forbids a negative sum. Concurrent writers wait for the lock on the tenant's row. */
export const creditBalances = pgTable(
  'credit_balances',
  { tenantId: tenantId(), balance: bigint('balance', { mode: 'number' }).notNull() },
  (t) => [
    primaryKey({ name: 'credit_balances_pkey', columns: [t.tenantId] }),
    check('credit_balances_balance_check', sql`${t.balance} >= 0`),
  ],
)

/** One payment for each purchase. A trigger writes it. */
export const payments = tenantTable(
  'payments',
  {
    creditId: uuid('credit_id').notNull(),
    amount: integer('amount').notNull(),
    paymentReference: text('payment_reference').notNull(),
  },
  (t) => [
    uniqueIndex('payments_credit_key').on(t.tenantId, t.creditId),
    index('payments_reference_idx').on(t.tenantId, t.paymentReference, t.createdAt, t.id),
    index('payments_created_idx').on(t.tenantId, t.createdAt, t.id),
    foreignKey({
      name: 'payments_credit_fkey',
      columns: [t.tenantId, t.creditId],
      foreignColumns: [credits.tenantId, credits.id],
    }),
  ],
)

export const media = tenantTable(
  'media',
  {
    filename: text('filename').notNull(),
    contentType: text('content_type').notNull(),
    sizeBytes: integer('size_bytes').notNull(),
    sha256: text('sha256').notNull(),
  },
  (t) => [
    index('media_created_idx').on(t.tenantId, t.createdAt, t.id),
    index('media_filename_idx').on(t.tenantId, t.filename, t.id),
    check('media_sha256_check', sql`${t.sha256} ~ '^[0-9a-f]{64}$'`),
  ],
)

/** The content in chunks of one size; the last may be shorter. So any range of it is a few rows. */
export const mediaChunks = pgTable(
  'media_chunks',
  {
    tenantId: tenantId(),
    mediaId: uuid('media_id').notNull(),
    number: integer('number').notNull(),
    bytes: bytea('bytes').notNull(),
  },
  (t) => [
    primaryKey({ name: 'media_chunks_pkey', columns: [t.tenantId, t.mediaId, t.number] }),
    foreignKey({
      name: 'media_chunks_media_fkey',
      columns: [t.tenantId, t.mediaId],
      foreignColumns: [media.tenantId, media.id],
    }).onDelete('cascade'),
  ],
)
