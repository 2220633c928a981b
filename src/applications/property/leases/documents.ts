import { sql } from 'drizzle-orm'
import { defineResource, example, text, uuid } from '../../../index.ts'
import { signatures, documents as table } from '../tables/records.ts'
import { leases } from './leases.ts'
import { termsOf } from './terms.ts'

export const documents = defineResource({
  name: 'documents',
  title: 'Document',
  permission: 'leases',
  table,
  fields: { leaseId: uuid(), title: example('Lease of flat 12', text(200)) },
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
