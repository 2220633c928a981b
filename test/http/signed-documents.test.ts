import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll, query, superuserUrl } from '../support/database.ts'
import { withClient } from '../support/tenant-database.ts'
import { Application } from './application.ts'
import { type Fixture, openFixture } from './support.ts'

// A signature covers bytes. The code that renders a document changes over the years; a signed document does not.

let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture()
})
afterAll(async () => {
  await fixture?.gateway.close()
  await dropAll()
})

const sha256 = (content: Buffer) => createHash('sha256').update(content).digest('hex')
const OTHER = Buffer.from('%PDF-1.7 as another version prints it %%EOF')
const KEEP = `INSERT INTO document_files (tenant_id, document_id, bytes, sha256)
  SELECT tenant_id, id, $2::bytea, encode(sha256($2::bytea), 'hex') FROM documents WHERE id = $1`

describe.each(['shared', 'dedicated'] as const)('in a %s database', (placement) => {
  let app: Application
  let url: string
  beforeAll(() => {
    app = new Application(fixture.gateway, fixture[placement])
    url = superuserUrl(new URL(fixture.urls[placement]).pathname.slice(1))
  })

  async function pdf(documentId: string) {
    const response = await app.fetch('GET', `documents/${documentId}/pdf`)
    return { etag: response.headers.get('etag'), bytes: Buffer.from(await response.arrayBuffer()) }
  }

  async function sign(id: string) {
    expect((await app.send('POST', `signatures/${id}/sign`)).status).toBe(200)
    return (await app.send('GET', `proofs?signatureId=${id}`)).body.data[0]
  }

  const kept = (documentId: string) =>
    query<{ bytes: Buffer; sha256: string }>(
      url,
      'SELECT bytes, sha256 FROM document_files WHERE document_id = $1',
      [documentId],
    )

  /** From now on the row renders to other bytes, as with another version of the code. */
  const renderOtherwise = (documentId: string) =>
    query(url, `UPDATE documents SET terms = jsonb_set(terms, '{lease,currency}', '"XXX"') WHERE id = $1`, [
      documentId,
    ])

  test('a document is stored when it is first signed, and served byte for byte from then on', async () => {
    const documentId = await app.document()
    const [first, second] = [await app.signature({ documentId }), await app.signature({ documentId })]
    const before = await pdf(documentId)
    expect(await kept(documentId)).toEqual([])
    const proof = await sign(first)
    expect(proof.documentSha256).toBe(sha256(before.bytes))
    expect(await kept(documentId)).toEqual([{ bytes: before.bytes, sha256: proof.documentSha256 }])

    await renderOtherwise(documentId)
    expect(await pdf(documentId)).toEqual(before)
    expect((await sign(second)).documentSha256).toBe(proof.documentSha256)
    expect(await pdf(documentId)).toEqual(before)
  })

  test('a document without a signature is printed for each request', async () => {
    const documentId = await app.document()
    const id = await app.signature({ documentId })
    const before = await pdf(documentId)
    await renderOtherwise(documentId)
    const after = await pdf(documentId)
    expect(after.etag).not.toBe(before.etag)
    expect((await app.send('POST', `signatures/${id}/decline`)).status).toBe(200)
    expect(await kept(documentId)).toEqual([])
  })

  test('two gateway versions that sign at once both prove the document stored by the first', async () => {
    const documentId = await app.document()
    const id = await app.signature({ documentId })
    await withClient(url, async (other) => {
      await other.query('BEGIN')
      await other.query(KEEP, [documentId, OTHER])
      const proof = sign(id)
      await expect.poll(() => waitersFor(url)).toBeGreaterThan(0)
      await other.query('COMMIT')
      expect((await proof).documentSha256).toBe(sha256(OTHER))
    })
    expect(await pdf(documentId)).toEqual({ etag: `"${sha256(OTHER)}"`, bytes: OTHER })
  })

  test('a stored document never changes, and has the right hash', async () => {
    const documentId = await app.document()
    await sign(await app.signature({ documentId }))
    const change = "UPDATE document_files SET bytes = ''"
    await expect(query(url, change)).rejects.toMatchObject({ code: '23001' })
    await expect(query(url, 'TRUNCATE document_files')).rejects.toMatchObject({ code: '23001' })
    await expect(query(url, `SET session_replication_role = replica; ${change}`)).rejects.toMatchObject({
      code: '23514',
    })
    expect((await app.send('DELETE', `documents/${documentId}`)).status).toBe(409)
  })
})

/** Sessions of this database that wait for a lock. */
async function waitersFor(url: string): Promise<number> {
  const [row] = await query<{ n: number }>(
    url,
    `SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
  )
  return row?.n ?? 0
}
