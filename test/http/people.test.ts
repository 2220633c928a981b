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

  describe.each(['lessees', 'owners'])('/%s', (name) => {
    const least = { kind: 'person', name: 'Ada Byron' }

    test('are stored with every field, and without optional fields', async () => {
      const most = { kind: 'company', name: 'Byron & Co', email: `co@${name}.example`, phone: '+44 20 1815' }
      expect(await app.make(name, most)).toMatchObject(most)
      expect(await app.make(name, least)).toMatchObject({ ...least, email: null, phone: null })
    })

    test('have an address that is unique in tenant and collection, in any letter case', async () => {
      const email = `Ada.${name}@Example.com`
      const first = await app.make(name, { ...least, email })
      expect(first.email).toBe(email)
      const taken = { status: 409, code: 'CONFLICT', pointers: ['/email'] }
      expectProblem(await app.send('POST', name, { ...least, email: email.toLowerCase() }), taken)
      const other = await app.make(name, least)
      expectProblem(await app.send('PATCH', `${name}/${other.id}`, { email: email.toUpperCase() }), taken)
      // Neither another collection nor another tenant shows the row.
      await app.make(name === 'lessees' ? 'owners' : 'lessees', { ...least, email })
      await otherApp.make(name, { ...least, email: `${placement}.${email}` })
      await app.make(name, { ...least, email: `${placement}.${email}` })
    })

    test('are found by address, kind and name', async () => {
      const email = `grace@${name}.found.example`
      const { id } = await app.make(name, { kind: 'company', name: `Hopper ${name}`, email })
      for (const query of [`email=${email.toUpperCase()}`, `kind=company&name=Hopper%20${name}`]) {
        const { body } = await app.send('GET', `${name}?${query}`)
        expect(body.data.map((row: { id: string }) => row.id)).toEqual([id])
      }
    })

    test.each([
      ['kind', 'ghost'],
      ['kind', null],
      ['name', ''],
      ['email', 'ada'],
      ['email', 'a da@example.com'],
      ['phone', ''],
    ])('%s: %j is refused, in a new row and in a patch', async (field, value) => {
      const problem = { status: 400, code: 'VALIDATION_FAILED', pointers: [`/${field}`] }
      expectProblem(await app.send('POST', name, { ...least, [field]: value }), problem)
      expectProblem(await app.send('PATCH', `${name}/${UNKNOWN_ID}`, { [field]: value }), problem)
    })
  })

  describe('/contacts', () => {
    test('may belong to a lessee, to an owner, to both or to neither', async () => {
      const lesseeId = await app.lessee()
      const { id: ownerId } = await app.make('owners', { kind: 'person', name: 'Mary' })
      const made = await app.make('contacts', { name: 'Agent', role: 'keys', lesseeId, ownerId })
      expect(made).toMatchObject({ name: 'Agent', role: 'keys', lesseeId, ownerId, email: null, phone: null })
      const { body } = await app.send('PATCH', `contacts/${made.id}`, { lesseeId: null })
      expect([body.lesseeId, body.ownerId]).toEqual([null, ownerId])
      for (const [query, count] of [
        [`ownerId=${ownerId}`, 1],
        [`lesseeId=${lesseeId}`, 0],
      ] as const) {
        expect((await app.send('GET', `contacts?${query}`)).body.data).toHaveLength(count)
      }
    })

    test.each([
      ['lesseeId', 'lessees'],
      ['ownerId', 'owners'],
    ])("another tenant's %s is answered like one that does not exist", async (field, collection) => {
      const foreign = await otherApp.make(collection, { kind: 'person', name: 'Theirs' })
      const [foreignAnswer, missingAnswer] = [
        await app.send('POST', 'contacts', { name: 'Agent', [field]: foreign.id }),
        await app.send('POST', 'contacts', { name: 'Agent', [field]: UNKNOWN_ID }),
      ]
      expect(telling(foreignAnswer)).toEqual(telling(missingAnswer))
      expectProblem(foreignAnswer, { status: 404, code: 'REFERENCE_NOT_FOUND', pointers: [`/${field}`] })
    })

    test('prevent the deletion of the lessee or owner that they name', async () => {
      const lesseeId = await app.lessee()
      const { id } = await app.make('contacts', { name: 'Agent', lesseeId })
      expectProblem(await app.send('DELETE', `lessees/${lesseeId}`), { status: 409, code: 'CONFLICT' })
      expect((await app.send('DELETE', `contacts/${id}`)).status).toBe(204)
      expect((await app.send('DELETE', `lessees/${lesseeId}`)).status).toBe(204)
    })
  })
})
