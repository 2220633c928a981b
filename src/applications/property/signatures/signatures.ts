import { sql } from 'drizzle-orm'
import { Type } from 'typebox'
import { choice, defineResource, email, example, text, uuid } from '../../../index.ts'
import { documents } from '../leases/documents.ts'
import { signatures as table } from '../tables/records.ts'

/** A signature is created as pending, then signed or declined once (`sign.ts`). */
export const signatures = defineResource({
  name: 'signatures',
  title: 'Signature',
  permission: 'signatures',
  table,
  fields: {
    documentId: uuid(),
    signerName: example('Ada Lovelace', text(200)),
    signerEmail: email(),
    status: Type.Optional(choice('pending', 'signed', 'declined')),
  },
  readOnly: ['status'],
  changeable: { when: sql`${table.status} = 'pending'`, otherwise: 'The signature is no longer pending' },
  filters: ['documentId', 'status', 'signerEmail'],
  caseless: { signerEmail: table.signerEmailFolded },
  references: { documentId: documents },
})
