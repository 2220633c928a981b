import { defineResource, example, integer, sha256, text } from '../../../index.ts'
import { media as table } from '../tables/records.ts'

/** The metadata of a file. `store.ts` inserts the rows. Later only the name may change. */
export const media = defineResource({
  name: 'media',
  title: 'Media',
  permission: 'media',
  table,
  methods: ['update', 'remove'],
  fields: {
    filename: example('lease.pdf', text(255)),
    contentType: example('application/pdf', text(100)),
    sizeBytes: example(18_234, integer(0)),
    sha256: sha256(),
  },
  readOnly: ['contentType', 'sizeBytes', 'sha256'],
  filters: ['filename'],
  sorts: ['createdAt', 'filename'],
})
