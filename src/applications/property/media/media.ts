import { defineResource } from '../../../collections/define-resource.ts'
import { int4, sha256, text } from '../../../lib/fields.ts'
import { media as table } from '../tables/records.ts'

/** What is kept of a file beside its content. Rows are made by `store.ts`; of a file that is kept only its name changes. */
export const media = defineResource({
  name: 'media',
  title: 'Media',
  permission: 'media',
  table,
  methods: ['update', 'remove'],
  fields: { filename: text(255), contentType: text(100), sizeBytes: int4(0), sha256: sha256() },
  readOnly: ['contentType', 'sizeBytes', 'sha256'],
  filters: ['filename'],
  sorts: ['createdAt', 'filename'],
})
