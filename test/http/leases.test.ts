import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll } from '../support/database.ts'
import { Application } from './application.ts'
import { expectProblem, type Fixture, openFixture, telling, UNKNOWN_ID } from './support.ts'

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

describe.each(['shared', 'dedicated'] as const)('a tenant in a %s database', (placement) => {
  let app: Application
  beforeAll(() => {
    app = new Application(fixture.gateway, fixture[placement])
  })

  describe('/leases', () => {
    test('store every field, money to the cent', async () => {
      const sent = await app.newLease({
        rentCents: Number.MAX_SAFE_INTEGER,
        depositCents: 0,
        status: 'active',
        lesseeIds: [await app.lessee(), await app.lessee()],
      })
      const { id, ...rest } = await app.make('leases', sent)
      expect(rest).toMatchObject(sent)
      const found = await app.send('GET', `leases/${id}`)
      expect(found.text).toContain(`"rentCents":${Number.MAX_SAFE_INTEGER},`)
      expect(await app.make('leases', await app.newLease({ endsOn: null }))).toMatchObject({
        endsOn: null,
        depositCents: null,
        status: 'draft',
      })
    })

    test.each([
      ['lesseeIds', [], '/lesseeIds'],
      ['lesseeIds', ['x'], '/lesseeIds/0'],
      ['lesseeIds', [UNKNOWN_ID, UNKNOWN_ID], '/lesseeIds'],
      ['lesseeIds', UNKNOWN_ID, '/lesseeIds'],
      ['rentCents', -1, '/rentCents'],
      ['rentCents', 0.5, '/rentCents'],
      ['rentCents', '100', '/rentCents'],
      ['rentCents', Number.MAX_SAFE_INTEGER + 1, '/rentCents'],
      ['depositCents', -1, '/depositCents'],
      ['currency', 'eur', '/currency'],
      ['currency', 'EURO', '/currency'],
      ['startsOn', '2026-02-30', '/startsOn'],
      ['status', 'signed', '/status'],
      ['status', null, '/status'],
    ])('%s: %j is refused, in a new row and in a patch', async (field, value, pointer) => {
      const problem = { status: 400, code: 'VALIDATION_FAILED', pointers: [pointer] }
      expectProblem(await app.send('POST', 'leases', { ...(await app.newLease()), [field]: value }), problem)
      expectProblem(await app.send('PATCH', `leases/${UNKNOWN_ID}`, { [field]: value }), problem)
    })

    test('may not end before they start, also when a patch changes only one of the days', async () => {
      const problem = { status: 400, code: 'VALIDATION_FAILED', pointers: ['/endsOn'] }
      for (const status of ['draft', 'active']) {
        const sent = await app.newLease({ startsOn: '2026-02-01', endsOn: '2026-01-31', status })
        expectProblem(await app.send('POST', 'leases', sent), problem)
      }
      const id = await app.lease({ startsOn: '2026-01-01', endsOn: '2026-01-01' })
      expectProblem(await app.send('PATCH', `leases/${id}`, { startsOn: '2026-01-02' }), problem)
    })

    test.each(['estateId', 'lesseeIds'])(
      "another tenant's %s is answered like one that does not exist",
      async (field) => {
        const foreign = field === 'estateId' ? await otherApp.estate() : await otherApp.lessee()
        const named = (id: string) => (field === 'estateId' ? id : [id])
        const [own, id] = [await app.newLease(), await app.lease()]
        for (const [method, path, rest] of [
          ['POST', 'leases', own],
          ['PATCH', `leases/${id}`, {}],
        ] as const) {
          const [foreignAnswer, missingAnswer] = [
            await app.send(method, path, { ...rest, [field]: named(foreign) }),
            await app.send(method, path, { ...rest, [field]: named(UNKNOWN_ID) }),
          ]
          expect(telling(foreignAnswer)).toEqual(telling(missingAnswer))
          expectProblem(foreignAnswer, { status: 404, code: 'REFERENCE_NOT_FOUND', pointers: [`/${field}`] })
        }
      },
    )

    test('are refused as a whole if one of several lessees does not exist', async () => {
      const sent = await app.newLease()
      const lesseeIds = [...sent.lesseeIds, UNKNOWN_ID]
      const refused = await app.send('POST', 'leases', { ...sent, lesseeIds })
      expectProblem(refused, { status: 404, code: 'REFERENCE_NOT_FOUND', pointers: ['/lesseeIds'] })
      const { body } = await app.send('GET', `leases?estateId=${sent.estateId}`)
      expect(body.data).toEqual([])
    })

    test('prevent the deletion of their lessees', async () => {
      const [first, second] = [await app.lessee(), await app.lessee()]
      const id = await app.lease({ lesseeIds: [first, second] })
      const stays = { status: 409, code: 'CONFLICT' }
      expectProblem(await app.send('DELETE', `lessees/${first}`), stays)
      expectProblem(await app.send('DELETE', `lessees/${second}`), stays)
      await app.send('PATCH', `leases/${id}`, { lesseeIds: [second] })
      expect((await app.send('DELETE', `lessees/${first}`)).status).toBe(204)
      expect((await app.send('DELETE', `leases/${id}`)).status).toBe(204)
      expect((await app.send('DELETE', `lessees/${second}`)).status).toBe(204)
    })

    test('are found by estate, state and first day, in the order of that day', async () => {
      const estateId = await app.estate()
      for (const startsOn of ['2027-03-01', '2027-01-01', '2027-02-01'])
        await app.lease({ estateId, startsOn, endsOn: null })
      const days = async (query: string) => {
        const { body } = await app.send('GET', `leases?estateId=${estateId}&${query}`)
        return body.data.map(({ startsOn }: { startsOn: string }) => startsOn)
      }
      expect(await days('sort=startsOn')).toEqual(['2027-01-01', '2027-02-01', '2027-03-01'])
      expect(await days('status=draft&startsOn=2027-02-01')).toEqual(['2027-02-01'])
      expect(await days('status=active')).toEqual([])
    })
  })

  describe('two leases of one estate', () => {
    const overlap = { status: 409, code: 'CONFLICT', pointers: ['/startsOn'] }
    const january = { startsOn: '2026-01-01', endsOn: '2026-01-31' }

    test.each([
      ['the same days', january],
      ['the last day', { startsOn: '2026-01-31', endsOn: '2026-02-28' }],
      ['the first day', { startsOn: '2025-12-01', endsOn: '2026-01-01' }],
      ['a day within', { startsOn: '2026-01-15', endsOn: '2026-01-15' }],
      ['all days from before on', { startsOn: '2020-01-01', endsOn: null }],
    ])('may not share %s', async (_case, days) => {
      const estateId = await app.estate()
      for (const [held, asked] of [
        ['active', 'active'],
        ['ended', 'active'],
        ['active', 'ended'],
      ]) {
        const { id } = await app.make('leases', await app.newLease({ estateId, ...january, status: held }))
        const sent = await app.newLease({ estateId, ...days, status: asked })
        expectProblem(await app.send('POST', 'leases', sent), overlap)
        expect((await app.send('DELETE', `leases/${id}`)).status).toBe(204)
      }
    })

    test.each([
      ['follow on the next day', { startsOn: '2026-02-01', endsOn: null, status: 'active' }],
      ['end the day before', { startsOn: '2025-01-01', endsOn: '2025-12-31', status: 'active' }],
      ['overlap as a draft', { ...january, status: 'draft' }],
    ])('may %s', async (_case, lease) => {
      const estateId = await app.estate()
      await app.lease({ estateId, ...january, status: 'active' })
      await app.lease({ estateId, ...lease })
    })

    test('may share days on different estates, and with other tenants', async () => {
      await app.lease({ ...january, status: 'active' })
      await app.lease({ ...january, status: 'active' })
      await otherApp.lease({ ...january, status: 'active' })
    })

    test('may not overlap after a patch', async () => {
      const estateId = await app.estate()
      await app.lease({ estateId, ...january, status: 'active' })
      const draft = await app.lease({ estateId, ...january, status: 'draft' })
      expectProblem(await app.send('PATCH', `leases/${draft}`, { status: 'active' }), overlap)
      const later = await app.lease({ estateId, startsOn: '2026-02-01', endsOn: null, status: 'active' })
      expectProblem(await app.send('PATCH', `leases/${later}`, { startsOn: '2026-01-31' }), overlap)
    })

    test('sent at once: one is accepted, the others are refused', async () => {
      const estateId = await app.estate()
      const sent = await app.newLease({ estateId, ...january, status: 'active' })
      const answers = await Promise.all(Array.from({ length: 8 }, () => app.send('POST', 'leases', sent)))
      expect(answers.map(({ status }) => status).sort()).toEqual([201, ...Array(7).fill(409)])
    })
  })

  describe('/charges', () => {
    const charge = { label: 'January', amountCents: 120_000, currency: 'EUR', dueOn: '2026-01-05' }

    test('are due until they are paid or cancelled', async () => {
      const leaseId = await app.lease()
      const made = await app.make('charges', { leaseId, ...charge })
      expect(made).toMatchObject({ leaseId, ...charge, status: 'due' })
      const { body } = await app.send('PATCH', `charges/${made.id}`, { status: 'paid' })
      expect(body.status).toBe('paid')
      const { data } = (await app.send('GET', `charges?leaseId=${leaseId}&status=paid&dueOn=2026-01-05`)).body
      expect(data).toEqual([body])
    })

    test('prevent the deletion of their lease, which must be of their own tenant', async () => {
      const leaseId = await app.lease()
      await app.make('charges', { leaseId, ...charge })
      expectProblem(await app.send('DELETE', `leases/${leaseId}`), { status: 409, code: 'CONFLICT' })
      for (const foreign of [await otherApp.lease(), UNKNOWN_ID]) {
        const answer = await app.send('POST', 'charges', { leaseId: foreign, ...charge })
        expectProblem(answer, { status: 404, code: 'REFERENCE_NOT_FOUND', pointers: ['/leaseId'] })
      }
    })

    test.each([
      ['amountCents', 1.5],
      ['amountCents', null],
      ['label', ''],
      ['dueOn', 'soon'],
      ['status', 'late'],
    ])('%s: %j is refused', async (field, value) => {
      const answer = await app.send('POST', 'charges', { leaseId: UNKNOWN_ID, ...charge, [field]: value })
      expectProblem(answer, { status: 400, code: 'VALIDATION_FAILED', pointers: [`/${field}`] })
    })
  })
})
