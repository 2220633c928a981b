import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Api, type Problem } from '../../examples/client/api.ts'
import { generateClient } from '../../examples/client/generate.ts'
import { dropAll } from '../support/database.ts'
import { type Fixture, openFixture } from './support.ts'

let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture()
})
afterAll(async () => {
  await fixture?.gateway.close()
  await dropAll()
})

test('the client in examples/ equals what the document generates (npm run client:generate)', async () => {
  const kept = await readFile(new URL('../../examples/client/api.ts', import.meta.url), 'utf8')
  expect(kept === (await generateClient())).toBe(true)
})

/** A client that signs in as the administrator of its tenant and sends the token with each later request. */
async function signedIn(placement: 'shared' | 'dedicated'): Promise<Api<string>> {
  const api = new Api<string>({
    baseUrl: fixture.gateway.url,
    baseApiParams: { secure: true },
    securityWorker: (token) => (token === null ? {} : { headers: { authorization: `Bearer ${token}` } }),
  })
  const { code, admin } = fixture[placement]
  const { data } = await api.auth.login({ tenantCode: code, ...admin }, { secure: false })
  api.setSecurityData(data.accessToken)
  return api
}

describe.each(['shared', 'dedicated'] as const)(
  'through the client, a tenant in a %s database',
  (placement) => {
    test('creates all rows of a lease, from the place to the charge', async () => {
      const api = await signedIn(placement)
      const { data: place } = await api.properties.createPlace({
        name: 'Garden Court',
        kind: 'building',
        address: { line1: '12 Mill Lane', city: 'Delft', country: 'NL' },
      })
      const { data: estate } = await api.properties.createEstate({ placeId: place.id, name: 'Flat 12' })
      const { data: lessee } = await api.lessees.createLessee({ kind: 'person', name: 'Ada Lovelace' })
      const { data: lease, headers } = await api.leases.createLease({
        ...{ estateId: estate.id, lesseeIds: [lessee.id], status: 'active' },
        ...{ startsOn: '2026-01-01', rentCents: 125_000, currency: 'EUR' },
      })
      const { data: charge } = await api.leases.createCharge({
        ...{
          leaseId: lease.id,
          label: 'January',
          amountCents: 125_000,
          currency: 'EUR',
          dueOn: '2026-01-05',
        },
      })
      const paid = await api.leases.updateCharge(charge.id, { status: 'paid' })
      expect(paid.data).toMatchObject({ status: 'paid', amountCents: 125_000 })
      const ended = await api.leases.updateLease(
        lease.id,
        { status: 'ended' },
        { headers: { 'if-match': headers.get('etag') ?? '' } },
      )
      expect(ended.data.status).toBe('ended')
      const { data: list } = await api.leases.listCharges({ leaseId: lease.id, sort: '-createdAt' })
      expect([list.data.map(({ id }) => id), list.nextCursor]).toEqual([[charge.id], null])
    })

    test('walks a list to its end', async () => {
      const api = await signedIn(placement)
      const names = Array.from({ length: 5 }, () => `Room ${randomUUID()}`)
      for (const name of names) await api.lessees.createOwner({ kind: 'company', name })
      const found: string[] = []
      let cursor: string | null | undefined
      do {
        const { data: page } = await api.lessees.listOwners({ limit: 2, ...(cursor != null && { cursor }) })
        found.push(...page.data.map(({ name }) => name))
        cursor = page.nextCursor
      } while (cursor !== null)
      expect(found).toEqual(names)
    })

    test('gets a typed problem that says what is wrong', async () => {
      const api = await signedIn(placement)
      const failed = await api.properties.createEstate({ placeId: randomUUID(), name: 'Nowhere' }).then(
        () => null,
        (answer: { error: Problem }) => answer.error,
      )
      expect([failed?.code, failed?.errors?.map(({ pointer }) => pointer)]).toEqual([
        'REFERENCE_NOT_FOUND',
        ['/placeId'],
      ])
    })

    test('sends the same request twice, and it is done once', async () => {
      const api = await signedIn(placement)
      const once = { headers: { 'idempotency-key': randomUUID() } }
      const [first, second] = [
        await api.properties.createPlace({ name: 'Mill' }, once),
        await api.properties.createPlace({ name: 'Mill' }, once),
      ]
      expect([second.data, second.headers.get('idempotency-replayed')]).toEqual([first.data, 'true'])
    })
  },
)
