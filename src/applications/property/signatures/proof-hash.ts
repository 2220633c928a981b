import { createHash } from 'node:crypto'

/** The fields of a proof, as the API answers them. */
export interface Attestation {
  readonly number: number
  readonly signatureId: string
  readonly documentId: string
  readonly documentSha256: string
  readonly signerName: string
  readonly signerEmail: string
  readonly signedAt: string
  readonly address: string | null
  readonly previousHash: string | null
}

/**
 * The hash that chains the proofs. It is the SHA-256 of the previous hash (nothing for the first proof), a line feed and the JSON
 * of the fields, in the order below, without spaces, each as the API answers it. A client can check the whole list: a row that is
 * changed, removed or inserted breaks the chain from there on.
 */
export function proofHash(proof: Attestation): string {
  const { number, signatureId, documentId, documentSha256, signerName, signerEmail, signedAt, address } =
    proof
  const content = JSON.stringify({
    ...{ number, signatureId, documentId, documentSha256, signerName, signerEmail, signedAt, address },
  })
  return createHash('sha256')
    .update(`${proof.previousHash ?? ''}\n${content}`)
    .digest('hex')
}
