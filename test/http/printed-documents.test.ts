import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll, query, superuserUrl } from '../support/database.ts'
import { textsOf } from '../support/pdf-text.ts'
import { Application } from './application.ts'
import { expectProblem, type Fixture, openFixture } from './support.ts'

// People sign what is printed. So a document shows their text exactly, or is refused.

let fixture: Fixture
let app: Application
beforeAll(async () => {
  fixture = await openFixture()
  app = new Application(fixture.gateway, fixture.shared)
})
afterAll(async () => {
  await fixture?.gateway.close()
  await dropAll()
})

const refusal = (character: string) => ({
  ...{ status: 409, code: 'CONFLICT' },
  detail: `The document cannot be printed: there is no glyph for the character ${character}.`,
})

async function printed(documentId: string): Promise<string[]> {
  const response = await app.fetch('GET', `documents/${documentId}/pdf`)
  expect(response.status).toBe(200)
  return textsOf(Buffer.from(await response.arrayBuffer()))
}

async function documentFor(name: string): Promise<string> {
  const lesseeIds = [await app.lessee({ name })]
  return app.document({ leaseId: await app.lease({ lesseeIds }) })
}

describe('a document in print', () => {
  test.each([
    ['Vietnamese', 'Nguyễn Thị Ánh', 'Hợp đồng thuê nhà'],
    ['Greek', 'Ελένη Παπαδοπούλου', 'Μισθωτήριο κατοικίας'],
    ['Cyrillic', 'Їжакевич Ґалаґан', 'Договор аренды'],
    ['Latin', 'Zażółć Gęślą', 'Bérleti szerződés'],
  ])('shows the text as written: %s', async (_script, name, title) => {
    const lesseeIds = [await app.lessee({ name })]
    const texts = await printed(await app.document({ leaseId: await app.lease({ lesseeIds }), title }))
    expect(texts).toContain(title)
    expect(texts).toContain(name)
  })

  test.each([
    ['JPY', 'JPY 120,000', 'JPY 240,000'],
    ['KWD', 'KWD 120.000', 'KWD 240.000'],
    ['EUR', 'EUR 1,200.00', 'EUR 2,400.00'],
  ])('shows amounts with the decimals of the currency: %s', async (currency, rent, deposit) => {
    const leaseId = await app.lease({ currency, depositCents: 240_000 })
    const texts = await printed(await app.document({ leaseId }))
    expect(texts).toEqual(expect.arrayContaining([rent, deposit]))
  })

  test.each([
    ['Chinese', '王小明', '“王” (U+738B)'],
    ['Hebrew', 'Noa לוי', '“ל” (U+05DC)'],
    ['Arabic', 'محمد', '“م” (U+0645)'],
    ['Thai', 'สมชาย', '“ส” (U+0E2A)'],
    ['Hindi', 'राम', '“र” (U+0930)'],
    ['a picture', 'Ada 🏠', '“🏠” (U+1F3E0)'],
    ['for private use', 'Ada \ue000', 'U+E000'],
  ])('is refused with a character that cannot be drawn: %s', async (_script, name, character) => {
    const id = await documentFor(name)
    const answer = await app.send('GET', `documents/${id}/pdf`)
    expectProblem(answer, refusal(character))
    expect(answer.body.detail).toBe(refusal(character).detail)
  })

  test('that cannot be drawn is not signed: the signature stays pending, and no proof or document is stored', async () => {
    const documentId = await documentFor('王小明')
    const id = await app.signature({ documentId })
    const answer = await app.send('POST', `signatures/${id}/sign`)
    expectProblem(answer, refusal('“王” (U+738B)'))
    expect(answer.body.detail).toBe(refusal('“王” (U+738B)').detail)
    expect((await app.send('GET', `signatures/${id}`)).body.status).toBe('pending')
    expect((await app.send('GET', `proofs?signatureId=${id}`)).body.data).toEqual([])
    const url = superuserUrl(new URL(fixture.urls.shared).pathname.slice(1))
    expect(await query(url, 'SELECT FROM document_files WHERE document_id = $1', [documentId])).toEqual([])
    expect((await app.send('POST', `signatures/${id}/decline`)).status).toBe(200)
  })

  test('can be printed after the text is corrected', async () => {
    const id = await app.document({ title: 'Lease 王' })
    expectProblem(await app.send('GET', `documents/${id}/pdf`), refusal('“王” (U+738B)'))
    await app.send('PATCH', `documents/${id}`, { title: 'Lease Wang' })
    expect(await printed(id)).toContain('Lease Wang')
  })

  test('that was signed before stays unchanged, even if it could not be drawn today', async () => {
    const documentId = await app.document()
    const id = await app.signature({ documentId })
    const before = await app.fetch('GET', `documents/${documentId}/pdf`)
    expect((await app.send('POST', `signatures/${id}/sign`)).status).toBe(200)
    const url = superuserUrl(new URL(fixture.urls.shared).pathname.slice(1))
    const otherwise = `UPDATE documents SET terms = jsonb_set(terms, '{place,name}', '"王"') WHERE id = $1`
    await query(url, otherwise, [documentId])
    const after = await app.fetch('GET', `documents/${documentId}/pdf`)
    expect([after.status, after.headers.get('etag')]).toEqual([200, before.headers.get('etag')])
  })
})
