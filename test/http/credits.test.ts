import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { dropAll } from '../support/database.ts'
import { Application } from './application.ts'
import { expectProblem, type Fixture, moveToOwnDatabase, openFixture } from './support.ts'

let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture()
})
afterAll(async () => {
  await fixture?.gateway.close()
  await dropAll()
})

describe.each(['shared', 'dedicated'] as const)('a new tenant in a %s database', (placement) => {
  let app: Application
  beforeEach(async () => {
    const tenant = await fixture.gateway.createTenant()
    if (placement === 'dedicated') await moveToOwnDatabase(fixture.gateway, tenant.id)
    app = new Application(fixture.gateway, tenant)
  })
  const balance = async () => (await app.send('GET', 'credits/balance')).body

  test('begins with no credits, buys some and spends them', async () => {
    expect(await balance()).toEqual({ balance: 0 })
    const bought = await app.buy(100, 'order-1')
    expect([bought.status, bought.body]).toEqual([
      201,
      expect.objectContaining({ amount: 100, paymentReference: 'order-1' }),
    ])
    expect((await app.buy(-30, 'use-1')).status).toBe(201)
    expect((await app.buy(-30, 'use-1')).status).toBe(201)
    expect(await balance()).toEqual({ balance: 40 })
    const { data } = (await app.send('GET', 'credits?paymentReference=use-1')).body
    expect(data.map(({ amount }: { amount: number }) => amount)).toEqual([-30, -30])
    expect((await app.send('GET', `credits/${bought.body.id}`)).body).toEqual(bought.body)
  })

  test('has one payment for each purchase and none for spending', async () => {
    const { body: credit } = await app.buy(7, 'order-2')
    await app.buy(-7, 'use')
    const { data } = (await app.send('GET', 'payments')).body
    expect(data).toEqual([
      expect.objectContaining({ creditId: credit.id, amount: 7, paymentReference: 'order-2' }),
    ])
    expect((await app.send('GET', `payments/${data[0].id}`)).body).toEqual(data[0])
    expect((await app.send('GET', `payments?creditId=${credit.id}`)).body.data).toEqual(data)
  })

  test('does not pay twice for the same reference', async () => {
    await app.buy(10, 'order-3')
    const taken = { status: 409, code: 'CONFLICT', pointers: ['/paymentReference'] }
    expectProblem(await app.buy(10, 'order-3'), taken)
    expectProblem(await app.buy(99, 'order-3'), taken)
    expect(await balance()).toEqual({ balance: 10 })
    expect((await app.send('GET', 'payments')).body.data).toHaveLength(1)
  })

  test('cannot spend more than it has', async () => {
    const short = { status: 409, code: 'CONFLICT', pointers: ['/amount'] }
    expectProblem(await app.buy(-1), short)
    await app.buy(5)
    expectProblem(await app.buy(-6), short)
    expect(await balance()).toEqual({ balance: 5 })
    expect((await app.send('GET', 'credits')).body.data).toHaveLength(1)
  })

  test('does not go below zero with concurrent spending', async () => {
    await app.buy(10)
    const answers = await Promise.all(Array.from({ length: 25 }, () => app.buy(-1)))
    const took = (wanted: number) => answers.filter(({ status }) => status === wanted).length
    expect([took(201), took(409)]).toEqual([10, 15])
    expect(await balance()).toEqual({ balance: 0 })
    const { data } = (await app.send('GET', 'credits?limit=200')).body
    expect(data.reduce((sum: number, { amount }: { amount: number }) => sum + amount, 0)).toBe(0)
  })

  test('adds up concurrent purchases, including the first', async () => {
    const answers = await Promise.all(Array.from({ length: 12 }, () => app.buy(3)))
    expect(answers.map(({ status }) => status)).toEqual(Array(12).fill(201))
    expect(await balance()).toEqual({ balance: 36 })
  })

  test('adds up amounts beyond 32 bits', async () => {
    await app.buy(2_147_483_647)
    await app.buy(2_147_483_647)
    expect(await balance()).toEqual({ balance: 4_294_967_294 })
  })

  test.each([
    [{ amount: 0, paymentReference: 'x' }, '/amount'],
    [{ amount: 1.5, paymentReference: 'x' }, '/amount'],
    [{ amount: '1', paymentReference: 'x' }, '/amount'],
    [{ amount: 2_147_483_648, paymentReference: 'x' }, '/amount'],
    [{ amount: 1 }, '/paymentReference'],
    [{ amount: 1, paymentReference: '' }, '/paymentReference'],
    [{ amount: 1, paymentReference: 'x', balance: 9 }, '/balance'],
  ])('%j is refused', async (body, pointer) => {
    const answer = await app.send('POST', 'credits', body)
    expectProblem(answer, { status: 400, code: 'VALIDATION_FAILED', pointers: [pointer] })
  })

  test('cannot rewrite its history', async () => {
    const { body: credit } = await app.buy(5)
    const [payment] = (await app.send('GET', 'payments')).body.data
    for (const path of [`credits/${credit.id}`, `payments/${payment.id}`]) {
      for (const method of ['PATCH', 'PUT', 'DELETE']) {
        expectProblem(await app.send(method, path, { amount: 50 }), { status: 404, code: 'NOT_FOUND' })
      }
    }
    expectProblem(await app.send('POST', 'payments', {}), { status: 404, code: 'NOT_FOUND' })
    expect(await balance()).toEqual({ balance: 5 })
  })

  test("neither sees nor spends another tenant's credits", async () => {
    const otherApp = new Application(fixture.gateway, fixture.other)
    const { body: theirs } = await otherApp.buy(1000)
    expect(await balance()).toEqual({ balance: 0 })
    for (const path of [`credits/${theirs.id}`, `payments/${theirs.id}`])
      expectProblem(await app.send('GET', path), { status: 404, code: 'NOT_FOUND' })
    expectProblem(await app.buy(-1), { status: 409, code: 'CONFLICT' })
  })
})
