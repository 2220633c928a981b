import { describe, expect, test } from 'vitest'
import type { Route } from '../../../src/catalog/directory.ts'
import { actFor } from '../../../src/http/act-for.ts'
import type { RequestState } from '../../../src/http/request-state.ts'
import { PermissionSet } from '../../../src/identity/access/permissions.ts'

const idOf = (n: number) => `01900000-0000-7000-8000-${String(n).padStart(12, '0')}`
const routeOf = (n: number, parent: number | null) =>
  ({
    tenantId: idOf(n),
    code: `t-${n}`,
    status: 'ACTIVE',
    parentId: parent === null ? null : idOf(parent),
  }) as Route

/** A request of tenant 0. Each tenant has the parent that `parents` says. */
function stateOf(parents: readonly (number | null)[], isCold: boolean) {
  const routes = parents.map((parent, n) => routeOf(n, parent))
  const find = (id: string) => routes.find(({ tenantId }) => tenantId === id)
  const directory = {
    peekById: (id: string) => (isCold ? undefined : find(id)),
    byId: async (id: string) => find(id) ?? null,
    peekByCode: () => undefined,
    byCode: async () => null,
  }
  const state = {
    route: routes[0],
    principal: { kind: 'user', permissions: new PermissionSet(['accounts:act']) },
    deps: { directory },
  } as unknown as RequestState
  return state
}

describe.each([
  ['cached', false],
  ['not cached', true],
])('with routes that are %s', (_name, isCold) => {
  test('a descendant is found, however deep', async () => {
    const parents = Array.from({ length: 5_000 }, (_, n) => (n === 0 ? null : n - 1))
    const state = stateOf(parents, isCold)
    await actFor(state, idOf(parents.length - 1))
    expect(state.route?.tenantId).toBe(idOf(parents.length - 1))
    expect(state.ownRoute?.tenantId).toBe(idOf(0))
  })

  test('a cycle of parents is refused', async () => {
    for (const parents of [
      [null, 1],
      [null, 2, 1],
      [null, 2, 3, 4, 2],
    ]) {
      const state = stateOf(parents, isCold)
      await expect((async () => actFor(state, idOf(1)))()).rejects.toMatchObject({
        code: 'CROSS_TENANT_ACCESS',
      })
    }
  })
})
