import { Type } from 'typebox'
import { defineResource } from '../../../collections/define-resource.ts'
import { email, int4, moment, sha256, text, uuid } from '../../../lib/fields.ts'
import { proofs as table } from '../tables/records.ts'
import { signatures } from './signatures.ts'

/** Written by `sign.ts`, in the order of their numbers. */
export const proofs = defineResource({
  name: 'proofs',
  title: 'Proof',
  permission: 'signatures',
  table,
  methods: [],
  fields: {
    number: int4(1),
    signatureId: uuid(),
    documentId: uuid(),
    documentSha256: sha256(),
    signerName: text(200),
    signerEmail: email(),
    signedAt: moment(),
    address: Type.Optional(text(100)),
    previousHash: Type.Optional(sha256()),
    hash: sha256(),
  },
  filters: ['signatureId', 'documentId'],
  sorts: ['number', 'createdAt'],
  references: { signatureId: signatures },
})
