import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll } from '../support/database.ts'
import { Application } from './application.ts'
import { API, expectProblem, type Fixture, openFixture, telling, UNKNOWN_ID } from './support.ts'

let fixture: Fixture
let otherApp: Application
beforeAll(async () => {
  fixture = await openFixture()
  otherApp = new Application(fixture.gateway, fixture.other)
})
afterAll(async () => {
  await fixture?.gateway.close()
  await dropAll()
})

const sha256 = (content: string | Buffer) => createHash('sha256').update(content).digest('hex')

/** As an auditor would, from the answers of the API only. */
function hashOf(proof: Record<string, unknown>): string {
  const { number, signatureId, documentId, documentSha256, signerName, signerEmail, signedAt, address } =
    proof
  const content = {
    number,
    signatureId,
    documentId,
    documentSha256,
    signerName,
    signerEmail,
    signedAt,
    address,
  }
  return sha256(`${proof.previousHash ?? ''}\n${JSON.stringify(content)}`)
}

describe.each(['shared', 'dedicated'] as const)('a tenant in a %s database', (placement) => {
  let app: Application
  beforeAll(() => {
    app = new Application(fixture.gateway, fixture[placement])
  })
  const proofOf = async (signatureId: string) =>
    (await app.send('GET', `proofs?signatureId=${signatureId}`)).body.data[0]
  const pdf = async (documentId: string) => {
    const response = await app.fetch('GET', `documents/${documentId}/pdf`)
    return { response, bytes: Buffer.from(await response.arrayBuffer()) }
  }

  describe('/documents', () => {
    test('show their lease, and not the stored terms', async () => {
      const leaseId = await app.lease()
      const { id, createdAt, updatedAt, ...rest } = await app.make('documents', { leaseId, title: 'Lease' })
      expect(rest).toEqual({ leaseId, title: 'Lease' })
      expect((await app.send('GET', `documents?leaseId=${leaseId}`)).body.data).toHaveLength(1)
      expectProblem(await app.send('POST', 'documents', { leaseId, title: 'x', terms: {} }), {
        ...{ status: 400, code: 'VALIDATION_FAILED', pointers: ['/terms'] },
      })
    })

    test('need a lease of their own tenant', async () => {
      const [foreign, id] = [await otherApp.lease(), await app.document()]
      for (const [method, path] of [
        ['POST', 'documents'],
        ['PATCH', `documents/${id}`],
      ] as const) {
        const [foreignAnswer, missingAnswer] = [
          await app.send(method, path, { leaseId: foreign, title: 'x' }),
          await app.send(method, path, { leaseId: UNKNOWN_ID, title: 'x' }),
        ]
        expect(telling(foreignAnswer)).toEqual(telling(missingAnswer))
        expectProblem(foreignAnswer, { status: 404, code: 'REFERENCE_NOT_FOUND', pointers: ['/leaseId'] })
      }
    })

    test('are printed as PDF with the SHA-256 of its bytes as entity tag', async () => {
      const id = await app.document({ title: 'Huur “Ω”\r\n.pdf' })
      const { response, bytes } = await pdf(id)
      expect(response.status).toBe(200)
      expect(bytes.subarray(0, 5).toString()).toBe('%PDF-')
      expect(bytes.subarray(-6).toString().trim()).toBe('%%EOF')
      const { headers } = response
      expect(headers.get('content-type')).toBe('application/pdf')
      expect(headers.get('content-length')).toBe(String(bytes.length))
      expect(headers.get('etag')).toBe(`"${sha256(bytes)}"`)
      expect(headers.get('content-disposition')).toBe(
        `inline; filename="Huur _____.pdf.pdf"; filename*=UTF-8''Huur%20%E2%80%9C%CE%A9%E2%80%9D%0D%0A.pdf.pdf`,
      )
      const known = { headers: { 'if-none-match': headers.get('etag') ?? '' } }
      expect((await app.fetch('GET', `documents/${id}/pdf`, known)).status).toBe(304)
      const head = await app.fetch('HEAD', `documents/${id}/pdf`)
      expect([head.status, head.headers.get('etag')]).toEqual([200, headers.get('etag')])
    })

    test('never change, even if lease, estate and lessee change', async () => {
      const [estateId, lesseeId] = [await app.estate(), await app.lessee()]
      const leaseId = await app.lease({ estateId, lesseeIds: [lesseeId] })
      const id = await app.document({ leaseId })
      const before = await pdf(id)
      await app.send('PATCH', `leases/${leaseId}`, { rentCents: 1 })
      await app.send('PATCH', `estates/${estateId}`, { name: 'Another' })
      await app.send('PATCH', `lessees/${lesseeId}`, { name: 'Somebody else' })
      const { bytes } = await pdf(id)
      expect(bytes.equals(before.bytes)).toBe(true)
      const later = await pdf(await app.document({ leaseId }))
      expect(later.bytes.equals(before.bytes)).toBe(false)
    })

    test('may be changed until signatures are requested, and then neither changed nor deleted', async () => {
      const id = await app.document()
      const before = await pdf(id)
      const patched = await app.send('PATCH', `documents/${id}`, {
        title: 'Other',
        leaseId: await app.lease(),
      })
      expect([patched.status, patched.body.title]).toEqual([200, 'Other'])
      expect((await pdf(id)).bytes.equals(before.bytes)).toBe(false)
      const signature = await app.signature({ documentId: id })
      const stays = { status: 409, code: 'CONFLICT' }
      expectProblem(await app.send('PATCH', `documents/${id}`, { title: 'Third' }), stays)
      expectProblem(await app.send('DELETE', `documents/${id}`), stays)
      expectProblem(await app.send('PATCH', `documents/${id}`, { title: 'Third' }, { 'if-match': '"old"' }), {
        status: 412,
        code: 'PRECONDITION_FAILED',
      })
      expect((await app.send('DELETE', `signatures/${signature}`)).status).toBe(204)
      expect((await app.send('DELETE', `documents/${id}`)).status).toBe(204)
    })

    test.each([
      ['does not exist', () => UNKNOWN_ID],
      ['another tenant has', () => otherApp.document()],
    ])('that %s cannot be printed', async (_whose, id) => {
      const answer = await app.send('GET', `documents/${await id()}/pdf`)
      expectProblem(answer, { status: 404, code: 'NOT_FOUND' })
    })
  })

  describe('/signatures', () => {
    test('are pending at first, and a caller cannot choose another state', async () => {
      const documentId = await app.document()
      const signer = { signerName: 'Ada', signerEmail: 'Ada@example.com' }
      const made = await app.make('signatures', { documentId, ...signer })
      expect(made).toMatchObject({ documentId, ...signer, status: 'pending' })
      const refused = { status: 400, code: 'VALIDATION_FAILED', pointers: ['/status'] }
      const signed = { documentId, ...signer, status: 'signed' }
      expectProblem(await app.send('POST', 'signatures', signed), refused)
      expectProblem(await app.send('PATCH', `signatures/${made.id}`, { status: 'signed' }), refused)
      const query = `documentId=${documentId}&status=pending&signerEmail=ada@EXAMPLE.com`
      expect((await app.send('GET', `signatures?${query}`)).body.data).toEqual([made])
    })

    test('need a document of their own tenant', async () => {
      const signer = { signerName: 'Ada', signerEmail: 'ada@example.com' }
      for (const documentId of [await otherApp.document(), UNKNOWN_ID]) {
        const answer = await app.send('POST', 'signatures', { documentId, ...signer })
        expectProblem(answer, { status: 404, code: 'REFERENCE_NOT_FOUND', pointers: ['/documentId'] })
      }
    })

    test('are signed once, with a proof of the printed document', async () => {
      const documentId = await app.document()
      const id = await app.signature({ documentId, signerName: 'Ada “Ω”' })
      const signed = await app.send('POST', `signatures/${id}/sign`)
      expect([signed.status, signed.body.status]).toEqual([200, 'signed'])
      const found = await app.send('GET', `signatures/${id}`)
      expect([found.body, found.headers.get('etag')]).toEqual([signed.body, signed.headers.get('etag')])
      const proof = await proofOf(id)
      expect(proof).toMatchObject({
        signatureId: id,
        documentId,
        documentSha256: sha256((await pdf(documentId)).bytes),
        signerName: 'Ada “Ω”',
        signerEmail: 'ada@example.com',
        address: '127.0.0.1',
      })
      expect(proof.hash).toBe(hashOf(proof))
      expect((await app.send('GET', `proofs/${proof.id}`)).body).toEqual(proof)
      for (const verb of ['sign', 'decline'])
        expectProblem(await app.send('POST', `signatures/${id}/${verb}`), { status: 409, code: 'CONFLICT' })
    })

    test('are declined once, without a proof', async () => {
      const id = await app.signature()
      const declined = await app.send('POST', `signatures/${id}/decline`)
      expect([declined.status, declined.body.status]).toEqual([200, 'declined'])
      expect(await proofOf(id)).toBeUndefined()
      for (const verb of ['sign', 'decline'])
        expectProblem(await app.send('POST', `signatures/${id}/${verb}`), { status: 409, code: 'CONFLICT' })
    })

    test('may be corrected while they are pending', async () => {
      const id = await app.signature()
      const { body } = await app.send('PATCH', `signatures/${id}`, { signerName: 'Ada King' })
      expect(body.signerName).toBe('Ada King')
      await app.send('POST', `signatures/${id}/sign`)
      const stays = { status: 409, code: 'CONFLICT' }
      expectProblem(await app.send('PATCH', `signatures/${id}`, { signerName: 'Eve' }), stays)
      expectProblem(await app.send('DELETE', `signatures/${id}`), stays)
      expectProblem(await app.send('PATCH', `signatures/${UNKNOWN_ID}`, { signerName: 'Eve' }), {
        ...{ status: 404, code: 'NOT_FOUND' },
      })
      expect((await proofOf(id)).signerName).toBe('Ada King')
    })

    test('are decided only in the version that the caller knows', async () => {
      const id = await app.signature()
      const stale = { 'if-match': '"0123"' }
      for (const verb of ['sign', 'decline']) {
        const answer = await app.send('POST', `signatures/${id}/${verb}`, undefined, stale)
        expectProblem(answer, { status: 412, code: 'PRECONDITION_FAILED' })
      }
      const etag = (await app.send('GET', `signatures/${id}`)).headers.get('etag') ?? ''
      const signed = await app.send('POST', `signatures/${id}/sign`, undefined, { 'if-match': etag })
      expect(signed.status).toBe(200)
    })

    test('are decided only by callers who may write them', async () => {
      const id = await app.signature()
      const { body: key } = await app.send('POST', 'client-keys', {
        ...{ name: 'reader', permissions: ['signatures:read', 'leases:write'] },
      })
      const headers = { 'x-client-key': key.key, 'x-tenant-code': fixture[placement].code }
      for (const verb of ['sign', 'decline']) {
        const answer = await fixture.gateway.call('POST', `${API}/signatures/${id}/${verb}`, { headers })
        expectProblem(answer, { status: 403, code: 'PERMISSION_DENIED', required: 'signatures:write' })
      }
      const { body } = await fixture.gateway.call('GET', `${API}/signatures/${id}`, { headers })
      expect(body.status).toBe('pending')
    })

    test("of another tenant cannot be signed or declined, as those that don't exist", async () => {
      const foreign = await otherApp.signature()
      for (const verb of ['sign', 'decline']) {
        const [foreignAnswer, missingAnswer] = [
          await app.send('POST', `signatures/${foreign}/${verb}`),
          await app.send('POST', `signatures/${UNKNOWN_ID}/${verb}`),
        ]
        expect(telling(foreignAnswer)).toEqual(telling(missingAnswer))
        expectProblem(foreignAnswer, { status: 404, code: 'NOT_FOUND' })
      }
      expect((await otherApp.send('GET', `signatures/${foreign}`)).body.status).toBe('pending')
    })

    test('that are signed and declined at once get one of the two states', async () => {
      for (let round = 0; round < 5; round++) {
        const id = await app.signature()
        const verbs = ['sign', 'decline', 'sign', 'decline']
        const answers = await Promise.all(verbs.map((verb) => app.send('POST', `signatures/${id}/${verb}`)))
        const [won, ...others] = answers.toSorted((a, b) => a.status - b.status)
        expect([won?.status, ...others.map(({ status }) => status)]).toEqual([200, 409, 409, 409])
        const { status } = (await app.send('GET', `signatures/${id}`)).body
        expect([status, (await proofOf(id)) !== undefined]).toEqual([won?.body.status, status === 'signed'])
      }
    })
  })

  describe('/proofs', () => {
    test('are numbered without gaps and chained, also with concurrent signatures', async () => {
      const documentId = await app.document()
      const ids = await Promise.all(Array.from({ length: 12 }, () => app.signature({ documentId })))
      const answers = await Promise.all(ids.map((id) => app.send('POST', `signatures/${id}/sign`)))
      expect(answers.map(({ status }) => status)).toEqual(Array(12).fill(200))
      const { data } = (await app.send('GET', 'proofs?limit=200')).body
      expect(data.length).toBeGreaterThanOrEqual(12)
      let previousHash: string | null = null
      for (const [index, proof] of data.entries()) {
        expect([proof.number, proof.previousHash, proof.hash]).toEqual([
          index + 1,
          previousHash,
          hashOf(proof),
        ])
        previousHash = proof.hash
      }
    })

    test('can only be read', async () => {
      const id = await app.signature()
      await app.send('POST', `signatures/${id}/sign`)
      const proof = await proofOf(id)
      expectProblem(await app.send('POST', 'proofs', {}), { status: 404, code: 'NOT_FOUND' })
      for (const method of ['PATCH', 'PUT', 'DELETE']) {
        const answer = await app.send(method, `proofs/${proof.id}`, {})
        expectProblem(answer, { status: 404, code: 'NOT_FOUND' })
      }
      expectProblem(await otherApp.send('GET', `proofs/${proof.id}`), { status: 404, code: 'NOT_FOUND' })
    })
  })
})
