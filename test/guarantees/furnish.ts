import { expect } from 'vitest'
import { Application } from '../http/application.ts'
import { API } from '../http/support.ts'
import type { TestGateway, TestTenant } from '../support/gateway.ts'
import type { ApiDocument, Rows } from './prover.ts'

/** Gives a tenant a row in every collection, and returns the ids of all its rows. */
export async function furnish(
  gateway: TestGateway,
  document: ApiDocument,
  tenant: TestTenant,
): Promise<Rows> {
  const app = new Application(gateway, tenant)
  const signatureId = await app.signature()
  expect((await app.send('POST', `signatures/${signatureId}/sign`)).status).toBe(200)
  await app.signature()
  const estateId = await app.estate()
  const { id: roomId } = await app.make('rooms', { estateId, name: 'Kitchen' })
  await app.make('equipment', { roomId, name: 'Oven' })
  const money = { amountCents: 100, currency: 'EUR' }
  await app.make('charges', { leaseId: await app.lease(), label: 'Rent', dueOn: '2026-01-01', ...money })
  await app.make('owners', { kind: 'company', name: 'Mill BV' })
  await app.make('contacts', { name: 'Bob' })
  await app.make('client-keys', { name: 'import', permissions: [] })
  expect((await app.buy(10)).status).toBe(201)
  const form = new FormData()
  form.set('file', new Blob(['bytes'], { type: 'text/plain' }), 'note.txt')
  expect((await app.fetch('POST', 'media', { body: form })).status).toBe(201)
  return readRows(gateway, document, tenant)
}

async function readRows(gateway: TestGateway, document: ApiDocument, tenant: TestTenant): Promise<Rows> {
  const rows = new Map<string, string[]>([['tenants', [tenant.id]]])
  for (const collection of collectionsOf(document)) {
    const { status, body } = await gateway.call('GET', `${API}/${collection}`, { token: tenant.token })
    if (status === 200)
      rows.set(
        collection,
        body.data.map(({ id }: { id: string }) => id),
      )
  }
  return rows
}

/** Paths with a list, and with a row by its id. */
export function collectionsOf({ paths }: ApiDocument): string[] {
  return Object.keys(paths).flatMap((path) => {
    const [, collection] = /^\/api\/v1\/([\w-]+)$/.exec(path) ?? []
    return collection !== undefined && paths[`${path}/{id}`] !== undefined ? [collection] : []
  })
}
