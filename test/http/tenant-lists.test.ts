import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll } from '../support/database.ts'
import { createStage, type Stage, startGateway, type TestGateway } from '../support/gateway.ts'
import { readPages } from './pages.ts'
import { expectProblem, moveToOwnDatabase, UNKNOWN_ID } from './support.ts'

/** In the order of their creation. */
const NAMES = {
  north: 'Nordlicht 100%',
  south: 'Sud_licht',
  east: 'Oost licht',
  west: 'WEST',
  none: 'Nobody home',
}
type Code = keyof typeof NAMES
const CODES = Object.keys(NAMES) as Code[]

let stage: Stage
let gateway: TestGateway
const ids = new Map<Code, string>()
const idOf = (code: Code) => ids.get(code) ?? ''
beforeAll(async () => {
  stage = await createStage()
  gateway = await startGateway(stage)
  for (const code of CODES) {
    const parentId = code === 'east' || code === 'west' ? idOf('north') : null
    const { body } = await gateway.operator('POST', '/tenants', { code, name: NAMES[code], parentId })
    ids.set(code, body.id)
  }
  await moveToOwnDatabase(gateway, idOf('east'))
  for (const code of ['east', 'none'] as const)
    await gateway.operator('PATCH', `/tenants/${idOf(code)}`, { status: 'INACTIVE' })
})
afterAll(async () => {
  await gateway?.close()
  await dropAll()
})

const list = (asked: string) => gateway.operator('GET', `/tenants?${asked}`)
const codes = (rows: { code: string }[]) => rows.map(({ code }) => code)

describe('GET /tenants', () => {
  describe('200', () => {
    test('shows every tenant as a single read does, in the order of creation', async () => {
      const { body } = await list('')
      expect(body.nextCursor).toBeNull()
      expect(codes(body.data)).toEqual(CODES)
      for (const row of body.data)
        expect((await gateway.operator('GET', `/tenants/${row.id}`)).body).toEqual(row)
      const [east] = body.data.filter(({ code }: { code: string }) => code === 'east')
      expect(east).toMatchObject({ placement: 'dedicated', database: { status: 'active' } })
    })

    const filters: [string, Code[]][] = [
      ['status=ACTIVE', ['north', 'south', 'west']],
      ['status=INACTIVE', ['east', 'none']],
      ['placement=dedicated', ['east']],
      ['placement=shared', ['north', 'south', 'west', 'none']],
      ['q=licht', ['north', 'south', 'east']],
      ['q=LICHT', ['north', 'south', 'east']],
      ['q=wes', ['west']],
      ['q=o', ['north', 'south', 'east', 'none']],
      ['q=nowhere', []],
      // Wildcards of LIKE count as plain characters here.
      ['q=%25', ['north']],
      ['q=_', ['south']],
      ['q=%5C', []],
      ['status=INACTIVE&placement=dedicated', ['east']],
      ['q=licht&status=ACTIVE', ['north', 'south']],
    ]
    test.each(filters)('?%s', async (asked, expected) => {
      const answer = await list(asked)
      expect(codes(answer.body.data), answer.text).toEqual(expected)
    })

    test('?parentId gives the children, but not their descendants', async () => {
      expect(codes((await list(`parentId=${idOf('north')}`)).body.data)).toEqual(['east', 'west'])
      expect((await list(`parentId=${idOf('east')}`)).body.data).toEqual([])
      expect((await list(`parentId=${UNKNOWN_ID}`)).body.data).toEqual([])
    })

    test.each(['limit=1', 'limit=2', 'limit=4', 'limit=5', 'limit=200'])(
      'in pages of ?%s, each tenant appears once',
      async (asked) => {
        const rows = await readPages(gateway, '/tenants', { token: stage.operatorToken, query: asked })
        expect(codes(rows)).toEqual(CODES)
      },
    )

    test('a cursor continues within its filter', async () => {
      const walk = { token: stage.operatorToken, query: 'limit=1&status=ACTIVE' }
      expect(codes(await readPages(gateway, '/tenants', walk))).toEqual(['north', 'south', 'west'])
    })

    test('a tenant created between two pages hides no other', async () => {
      const { body: first } = await list('limit=2')
      const { body: late } = await gateway.operator('POST', '/tenants', { code: 'late', name: 'Late' })
      const { body: rest } = await list(`limit=200&cursor=${first.nextCursor}`)
      expect(codes([...first.data, ...rest.data])).toEqual([...CODES, late.code])
    })
  })

  describe('400', () => {
    test.each([
      ['limit=0', '/limit'],
      ['limit=201', '/limit'],
      ['limit=ten', '/limit'],
      ['status=active', '/status'],
      ['placement=own', '/placement'],
      ['q=', '/q'],
      [`q=${'x'.repeat(201)}`, '/q'],
      ['parentId=north', '/parentId'],
      ['code=north', '/code'],
      ['sort=name', '/sort'],
      ['status=ACTIVE&status=INACTIVE', '/status'],
    ])('?%s', async (asked, pointer) => {
      expectProblem(await list(asked), { status: 400, code: 'VALIDATION_FAILED', pointers: [pointer] })
    })

    test.each(['x', UNKNOWN_ID, 'AAAA', 'a'.repeat(512)])('the invalid cursor %s', async (cursor) => {
      expectProblem(await list(`cursor=${cursor}`), { status: 400, code: 'INVALID_CURSOR' })
    })
  })
})
