import { describe, expect, test } from 'vitest'
import { findRole, voidTokensOfHolders } from '../../../src/identity/access/roles.ts'
import { findForLogin, findUser, type Reader } from '../../../src/identity/people/users.ts'
import { newId } from '../../../src/lib/ids.ts'

const LONG = 'x'.repeat(201)
const USER = {
  ...{
    id: newId(),
    email: 'ana@acme.example',
    username: null,
    name: null,
    taxNumber: null,
    status: 'ACTIVE',
  },
  ...{ roles: ['clerk'], permissions: ['leases:read'], passwordHash: 'x', generation: 1 },
  ...{ createdAt: '2026-01-01T00:00:00Z', updatedAt: '2026-01-01T00:00:00Z' },
}

/** A tenant database that gives this answer to every query. */
function answering(...rows: object[]): Reader {
  const select = () => ({ from: () => ({ where: async () => rows }) })
  return { tenantId: newId(), db: { select, execute: async () => ({ rows }) } } as unknown as Reader
}

describe('a row from a database that we do not control', () => {
  test.each([['x'.repeat(19_000)], ['not-an-id'], [7], [null], [[USER.id]]])(
    'is no user under the id %j',
    async (id) => {
      const reader = answering({ ...USER, id })
      expect(await findForLogin(reader, { email: USER.email })).toBeNull()
      expect(await findUser(reader, USER.id)).toBeNull()
    },
  )

  test.each([['1'], [-1], [1.5], [null], ['9'.repeat(19_000)]])(
    'is no user of the generation %j',
    async (generation) => {
      expect(await findUser(answering({ ...USER, generation }), USER.id)).toBeNull()
    },
  )

  test('gives a user no role and no permission of more than 200 characters', async () => {
    const names = ['fits', LONG, 7, LONG.slice(1)]
    const user = await findUser(answering({ ...USER, roles: names, permissions: names }), USER.id)
    expect(user).toEqual({
      ...USER,
      roles: ['fits', LONG.slice(1)],
      permissions: ['fits', LONG.slice(1)],
    })
    const none = await findUser(answering({ ...USER, roles: 'all', permissions: null }), USER.id)
    expect(none).toMatchObject({ roles: [], permissions: [] })
  })

  test('gives a role no such permission either', async () => {
    const role = { id: USER.id, name: 'clerk', description: null, permissions: ['leases:read', LONG] }
    expect(await findRole(answering(role), USER.id)).toMatchObject({ permissions: ['leases:read'] })
    expect(await findRole(answering({ ...role, id: LONG }), USER.id)).toBeNull()
  })

  test('revokes tokens of users only', async () => {
    const rows = [
      { id: USER.id, generation: 2 },
      { id: LONG, generation: 2 },
      { id: newId(), generation: LONG },
    ]
    expect(await voidTokensOfHolders(answering(...rows), newId(), new Map())).toEqual([rows[0]])
  })
})
