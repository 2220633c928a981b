import { Type } from 'typebox'
import { defineResource, email, example, integer, moment, sha256, text, uuid } from '../../../index.ts'
import { proofs as table } from '../tables/records.ts'
import { signatures } from './signatures.ts'

/** `sign.ts` writes the proofs, in the order of their numbers. */
export const proofs = defineResource({
  name: 'proofs',
  title: 'Proof',
  permission: 'signatures',
  table,
  methods: [],
  fields: {
    number: integer(1),
    signatureId: uuid(),
    documentId: uuid(),
    documentSha256: sha256(),
    signerName: example('Ada Lovelace', text(200)),
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
