import { describe, expect, test } from 'vitest'
import type { Route } from '../../../src/catalog/directory.ts'
import { actFor } from '../../../src/http/act-for.ts'
import type { Visit } from '../../../src/http/gates.ts'
import { PermissionSet } from '../../../src/identity/access/permissions.ts'

const idOf = (n: number) => `01900000-0000-7000-8000-${String(n).padStart(12, '0')}`
const routeOf = (n: number, parent: number | null) =>
  ({
    tenantId: idOf(n),
    code: `t-${n}`,
    status: 'ACTIVE',
    parentId: parent === null ? null : idOf(parent),
  }) as Route

/** A request of tenant 0 for tenant `wanted`, where each tenant has the parent that `parents` says. */
function visitOf(
  parents: readonly (number | null)[],
  { wanted, isCold }: { wanted: number; isCold: boolean },
) {
  const routes = parents.map((parent, n) => routeOf(n, parent))
  const find = (id: string) => routes.find(({ tenantId }) => tenantId === id)
  const directory = {
    peekById: (id: string) => (isCold ? undefined : find(id)),
    byId: async (id: string) => find(id) ?? null,
    peekByCode: () => undefined,
    byCode: async () => null,
  }
  const visit = {
    request: { headers: { 'x-account-id': idOf(wanted) } },
    route: routes[0],
    principal: { kind: 'user', permissions: new PermissionSet(['accounts:act']) },
    deps: { directory, settings: { actForHeader: 'x-account-id' } },
  } as unknown as Visit
  return visit
}

describe.each([
  ['that are known', false],
  ['that must be read', true],
])('by routes %s', (_name, isCold) => {
  test('the way up is found, however long', async () => {
    const parents = Array.from({ length: 5_000 }, (_, n) => (n === 0 ? null : n - 1))
    const visit = visitOf(parents, { wanted: parents.length - 1, isCold })
    await actFor(visit)
    expect(visit.route?.tenantId).toBe(idOf(parents.length - 1))
    expect(visit.home?.tenantId).toBe(idOf(0))
  })

  test('a circle leads nowhere', async () => {
    for (const parents of [
      [null, 1],
      [null, 2, 1],
      [null, 2, 3, 4, 2],
    ]) {
      const visit = visitOf(parents, { wanted: 1, isCold })
      await expect((async () => actFor(visit))()).rejects.toMatchObject({ code: 'CROSS_TENANT_ACCESS' })
    }
  })
})
