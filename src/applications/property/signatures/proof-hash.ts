import { createHash } from 'node:crypto'

/** What a proof attests, as it is answered. */
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
 * The hash that chains the proofs: SHA-256 over the previous hash (nothing for the first), a line feed, and the JSON of
 * the fields in the order below, without spaces, each as it is answered. A client that has the list can check it: a row
 * that is changed, taken out or put in breaks the chain from there on.
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
