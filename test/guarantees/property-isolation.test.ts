import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Examples, proveIsolation, type TestGateway, testGateway } from '../../src/testing/index.ts'
import { property } from '../support/application.ts'
import { superuserUrl } from '../support/database.ts'

let t: TestGateway

beforeAll(async () => {
  t = await testGateway(property, { databaseUrl: superuserUrl() })
})
afterAll(() => t?.close())

/** A multipart form is the only body that cannot be made from a schema. */
const examples: Examples = {
  'POST /media': ({ mark }) => ({
    headers: { 'content-type': 'multipart/form-data; boundary=edge' },
    payload: [
      '--edge',
      `Content-Disposition: form-data; name="file"; filename="${mark}.txt"`,
      'Content-Type: text/plain',
      '',
      mark,
      '--edge--',
      '',
    ].join('\r\n'),
  }),
}

test('the reference application keeps its tenants apart, on every route', async () => {
  const { routes, attempts, skipped } = await proveIsolation(t, { examples })
  expect(routes.length).toBeGreaterThan(55)
  expect(routes).toEqual(
    expect.arrayContaining([
      'POST /signatures/:id/sign',
      'GET /documents/:id/pdf',
      'GET /media/:id/content',
      'GET /credits/balance',
    ]),
  )
  expect(attempts).toBeGreaterThan(1_500)
  expect(skipped).toEqual([])
})
