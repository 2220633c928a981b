import { sql } from 'drizzle-orm'
import { defineResource } from '../../../collections/define-resource.ts'
import { text, uuid } from '../../../lib/fields.ts'
import { signatures, documents as table } from '../tables/records.ts'
import { leases } from './leases.ts'
import { termsOf } from './terms.ts'

export const documents = defineResource({
  name: 'documents',
  title: 'Document',
  permission: 'leases',
  table,
  fields: { leaseId: uuid(), title: text(200) },
  derived: { terms: { from: 'leaseId', value: termsOf } },
  changeable: {
    when: sql`not exists (select from ${signatures}
      where ${signatures.tenantId} = ${table.tenantId} and ${signatures.documentId} = ${table.id})`,
    otherwise: 'Signatures were asked for on this document',
  },
  filters: ['leaseId', 'title'],
  sorts: ['createdAt', 'title'],
  references: { leaseId: leases },
})
