import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { eachPlacement, proveIsolation, testGateway } from 'freehold/testing'
import application from './freehold.config.ts'
import { remind } from './reminders.ts'

const EVERYTHING = ['practitioners', 'patients', 'appointments'].flatMap((name) => [
  `${name}:read`,
  `${name}:write`,
])

const t = await testGateway(application)
after(() => t.close())

/** A practice with a practitioner and a patient. */
async function practice(placement: 'shared' | 'dedicated') {
  const tenant = await t.tenant({ placement })
  const staff = tenant.as(EVERYTHING)
  const post = async (url: string, payload: object) =>
    staff.inject({ method: 'POST', url: `/api/v1${url}`, payload })
  const practitionerId: string = (await post('/practitioners', { name: 'Dr Osei' })).json().id
  const patientId: string = (await post('/patients', { name: 'Ada Byron' })).json().id
  const at = (startsAt: Date, minutes = 30) => ({
    practitionerId,
    patientId,
    startsAt: startsAt.toISOString(),
    endsAt: new Date(startsAt.getTime() + minutes * 60_000).toISOString(),
  })
  return { tenant, staff, post, at }
}

const NINE = new Date('2031-05-06T09:00:00Z')

test('of twenty bookings of one time one is made, whichever database it is in', async () => {
  await eachPlacement(async (placement) => {
    const { staff, post, at } = await practice(placement)
    const answers = await Promise.all(Array.from({ length: 20 }, () => post('/bookings', at(NINE))))
    const statuses = answers.map(({ statusCode }) => statusCode).sort()
    assert.deepEqual(statuses, [201, ...Array<number>(19).fill(409)])
    const url = '/api/v1/workload?from=2031-05-01T00:00:00Z&to=2031-06-01T00:00:00Z'
    const workload = await staff.inject({ method: 'GET', url })
    assert.deepEqual(workload.json().data, [{ practitioner: 'Dr Osei', appointments: 1, minutes: 30 }])
  })
})

test('a time that touches another one is free, and one that overlaps it is not', async () => {
  const { post, at } = await practice('shared')
  assert.equal((await post('/bookings', at(NINE))).statusCode, 201)
  assert.equal((await post('/bookings', at(new Date('2031-05-06T09:30:00Z')))).statusCode, 201)
  assert.equal((await post('/bookings', at(new Date('2031-05-06T09:45:00Z')))).json().code, 'SLOT_TAKEN')
})

test('a patient is reminded once, on the day before', async () => {
  await eachPlacement(async (placement) => {
    const { tenant, post, at } = await practice(placement)
    await post('/bookings', at(new Date(Date.now() + 3 * 3_600_000)))
    await post('/bookings', at(new Date(Date.now() + 72 * 3_600_000)))
    assert.equal(await tenant.run(remind), 1)
    assert.equal(await tenant.run(remind), 0)
  })
})

test('no practice reaches another by any route', async () => {
  await proveIsolation(t, {
    examples: {
      'POST /bookings': ({ ids }) => ({
        payload: {
          practitionerId: ids('practitioners')[0],
          patientId: ids('patients')[0],
          startsAt: '2031-05-06T09:00:00Z',
          endsAt: '2031-05-06T09:30:00Z',
        },
      }),
      'GET /workload': { query: { from: '2031-05-01T00:00:00Z', to: '2031-06-01T00:00:00Z' } },
    },
  })
})
