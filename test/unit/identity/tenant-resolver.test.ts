import { describe, expect, it } from 'vitest'
import type { Route } from '../../../src/catalog/directory.ts'
import type { ExternalId } from '../../../src/catalog/external-ids.ts'
import { PermissionSet } from '../../../src/identity/access/permissions.ts'
import type { RolesOfTenant } from '../../../src/identity/access/role-cache.ts'
import type {
  AccountIdentity,
  ExternalIdentity,
  UnresolvedIdentity,
} from '../../../src/identity/callers/principal.ts'
import { type ResolvedTenant, TenantResolver } from '../../../src/identity/callers/tenant-resolver.ts'
import { ACME, GONE, OTHER, routeOf } from '../http/fakes.ts'

const ABSENT = '01900000-0000-7000-8000-0000000000ff'
/** A tenant whose code looks like an id: the id of `OTHER`. */
const IMPOSTOR = '01900000-0000-7000-8000-00000000000d'
/** The issuer's names of a tenant: some look like nothing of ours, some like another tenant's code or id. */
const ORG = 'org_9ybsU1dN2dKfDkBi'
const ISSUER = 'https://i.example'
const listed = (route: Route, ...ids: string[]): Route =>
  Object.freeze({ ...route, externalIds: ids.map((id) => ({ issuer: ISSUER, id })) })
const ROUTES = [
  listed(routeOf(ACME, 'acme'), ORG, 'other', OTHER),
  listed(routeOf(OTHER, 'other'), 'org_other'),
  routeOf(GONE, 'gone', 'INACTIVE'),
  routeOf(IMPOSTOR, OTHER),
]
const ROLES: Record<string, RolesOfTenant> = {
  [ACME]: new Map([
    ['clerk', ['leases:read']],
    ['auditor', ['audit:read']],
  ]),
  [OTHER]: new Map([['clerk', ['*']]]),
}

function account(memberships: Record<string, string[]>, roles: string[] = []): AccountIdentity {
  const authorization = new Map(Object.entries(memberships))
  return { kind: 'account-token', accountId: 'a', authorization, roles, tokenId: 'j', generation: 0 }
}

function external(
  tenant: string | string[],
  roles: string[] = [],
  permissions: string[] = [],
): ExternalIdentity {
  return {
    ...{ kind: 'external-token', issuer: ISSUER, entry: ISSUER, subject: 's' },
    ...{ tenants: [tenant].flat(), tenantBy: 'code', roles },
    permissions: new PermissionSet(permissions),
  }
}

const listedAs = (tenant: string | string[], entry = ISSUER): ExternalIdentity => ({
  ...external(tenant, ['clerk']),
  ...{ tenantBy: 'externalId', entry },
})

const byId = (id: string) => ROUTES.find((route) => route.tenantId === id)
const byCode = (code: string) => ROUTES.find((route) => route.code === code)
const byExternalId = ({ issuer, id }: ExternalId) =>
  ROUTES.find(({ externalIds }) => externalIds.some((one) => one.issuer === issuer && one.id === id))

/** Warm: everything is cached. Cold: nothing is cached, and every look-up waits. */
function createResolver({ warm }: { warm: boolean }, roles = ROLES) {
  const at = (found: Route | undefined) => (warm ? found : undefined)
  const rolesOf = ({ tenantId }: Route) => roles[tenantId] ?? new Map()
  return new TenantResolver({
    directory: {
      peekById: (id) => at(byId(id)),
      peekByCode: (code) => at(byCode(code)),
      peekByExternalId: (externalId) => at(byExternalId(externalId)),
      byId: async (id) => byId(id.toLowerCase()) ?? null,
      byCode: async (code) => byCode(code) ?? null,
      byExternalId: async (externalId) => byExternalId(externalId) ?? null,
    },
    roleCache: {
      peek: (route) => (warm ? rolesOf(route) : undefined),
      find: async (route) => rolesOf(route),
    },
  })
}

async function outcome(identity: UnresolvedIdentity, code?: string, warm = false): Promise<string> {
  try {
    const { route, principal } = await createResolver({ warm }).resolve(identity, code)
    expect(principal).toMatchObject({ tenantId: route.tenantId, tenantCode: route.code })
    return `${route.code}: ${principal.permissions.list.join()}`
  } catch (error) {
    return (error as { code: string }).code
  }
}

const two = { [ACME]: ['clerk'], [OTHER]: ['clerk'] }
const cases: [string, UnresolvedIdentity, string | undefined, string][] = [
  ['an account in its only tenant', account({ [ACME]: ['clerk'] }), undefined, 'acme: leases:read'],
  ['an account that confirms it', account({ [ACME]: ['clerk'] }), 'acme', 'acme: leases:read'],
  ['an account that picks', account(two), 'other', 'other: *'],
  ['an account that does not pick', account(two), undefined, 'TENANT_AMBIGUOUS'],
  ['an account that picks by id', account({ [ACME]: ['clerk'] }), ACME, 'CROSS_TENANT_ACCESS'],
  ['an account that picks nothing', account({ [ACME]: ['clerk'] }), '', 'CROSS_TENANT_ACCESS'],
  ['an account at another tenant', account({ [ACME]: ['clerk'] }), 'other', 'CROSS_TENANT_ACCESS'],
  ['an account at an unknown tenant', account({ [ACME]: ['clerk'] }), 'unknown', 'CROSS_TENANT_ACCESS'],
  ['an account at another, inactive tenant', account({ [ACME]: ['clerk'] }), 'gone', 'CROSS_TENANT_ACCESS'],
  ['an account in an inactive tenant', account({ [GONE]: [] }), undefined, 'TENANT_NOT_FOUND'],
  ['an account that picks an inactive tenant', account({ [GONE]: [] }), 'gone', 'TENANT_NOT_FOUND'],
  ['an account of a tenant that is not there', account({ [ABSENT]: [] }), undefined, 'TENANT_NOT_FOUND'],
  ['an account without tenants', account({}, ['clerk']), undefined, 'CROSS_TENANT_ACCESS'],
  ['an account without tenants that names one', account({}, ['clerk']), 'acme', 'CROSS_TENANT_ACCESS'],
  ['an account with roles everywhere', account({ [ACME]: [] }, ['clerk']), undefined, 'acme: leases:read'],
  [
    'an account with roles here and everywhere',
    account({ [ACME]: ['clerk'] }, ['auditor', 'clerk']),
    undefined,
    'acme: audit:read,leases:read',
  ],
  ['an account with roles that are not defined', account({ [ACME]: ['x', '*'] }), undefined, 'acme: '],
  ['an external person, by code', external('acme', ['clerk']), undefined, 'acme: leases:read'],
  ['an external person, by id', external(ACME, ['clerk']), undefined, 'acme: leases:read'],
  ['an external person, by an id in capitals', external(ACME.toUpperCase()), undefined, 'acme: '],
  ['an external person who confirms it', external('acme'), 'acme', 'acme: '],
  ['an external person who contradicts it', external('acme'), 'other', 'CROSS_TENANT_ACCESS'],
  [
    'an external person who contradicts it with an unknown tenant',
    external('acme'),
    'unknown',
    'CROSS_TENANT_ACCESS',
  ],
  ['an external person of an unknown tenant', external('unknown'), undefined, 'TENANT_NOT_FOUND'],
  ['an external person of an inactive tenant', external('gone'), undefined, 'TENANT_NOT_FOUND'],
  ['an external person of one whose id is a code', external(OTHER, ['clerk']), undefined, 'other: *'],
  [
    'an external person with permissions and roles',
    external('acme', ['clerk'], ['media:read']),
    undefined,
    'acme: leases:read,media:read',
  ],
  [
    'an external person of several who does not pick',
    external(['acme', 'other']),
    undefined,
    'TENANT_AMBIGUOUS',
  ],
  ['an external person of several who picks', external(['acme', 'other'], ['clerk']), 'other', 'other: *'],
  [
    'an external person of several, by ids',
    external([ACME, OTHER.toUpperCase()], ['clerk']),
    'other',
    'other: *',
  ],
  [
    'an external person of several at another tenant',
    external(['acme', 'gone']),
    'other',
    'CROSS_TENANT_ACCESS',
  ],
  [
    'an external person of several at an unknown tenant',
    external(['acme', 'gone']),
    'unknown',
    'CROSS_TENANT_ACCESS',
  ],
  [
    'an external person of several in an inactive one',
    external(['acme', 'gone']),
    'gone',
    'TENANT_NOT_FOUND',
  ],
  [
    'an external person of several who picks by id',
    external(['acme', 'other']),
    OTHER,
    'CROSS_TENANT_ACCESS',
  ],
  [
    'an external person of one whose id is the code of the picked one',
    external(['acme', OTHER]),
    OTHER,
    'CROSS_TENANT_ACCESS',
  ],
  ['an external id', listedAs(ORG), undefined, 'acme: leases:read'],
  ['an external id that is confirmed', listedAs(ORG), 'acme', 'acme: leases:read'],
  ['an external id that is contradicted', listedAs(ORG), 'other', 'CROSS_TENANT_ACCESS'],
  ['an external id in capitals', listedAs(ORG.toUpperCase()), undefined, 'TENANT_NOT_FOUND'],
  ['an external id of another issuer', listedAs(ORG, 'https://j.example'), undefined, 'TENANT_NOT_FOUND'],
  ['an external id that looks like a code', listedAs('other'), undefined, 'acme: leases:read'],
  ['an external id that looks like an id', listedAs(OTHER), undefined, 'acme: leases:read'],
  ['a code where external ids are meant', listedAs('acme'), undefined, 'TENANT_NOT_FOUND'],
  ['an id where external ids are meant', listedAs(ACME), undefined, 'TENANT_NOT_FOUND'],
  ['an external id where codes are meant', external(ORG), undefined, 'TENANT_NOT_FOUND'],
  ['several external ids', listedAs([ORG, 'org_other']), 'other', 'other: *'],
  [
    'several external ids, one of another tenant',
    listedAs(['org_other', 'x']),
    'acme',
    'CROSS_TENANT_ACCESS',
  ],
  [
    'several external ids of another issuer',
    listedAs([ORG, 'x'], 'https://j.example'),
    'acme',
    'CROSS_TENANT_ACCESS',
  ],
  ['several codes where external ids are meant', listedAs(['acme', 'gone']), 'acme', 'CROSS_TENANT_ACCESS'],
]

describe.each([true, false])('with warm caches: %s,', (warm) => {
  it.each(cases)('%s', async (_case, identity, code, expected) => {
    expect(await outcome(identity, code, warm)).toBe(expected)
  })
})

describe('a warm request', () => {
  it('is resolved without waiting, and reuses what was built before', () => {
    const resolver = createResolver({ warm: true })
    for (const identity of [account(two), external('acme', ['clerk'])]) {
      const code = identity.kind === 'account-token' ? 'acme' : undefined
      const first = resolver.resolve(identity, code)
      expect(first).not.toBeInstanceOf(Promise)
      expect(resolver.resolve(identity, code)).toBe(first)
    }
  })

  it('is decided by the current roles', () => {
    const roles = { ...ROLES }
    const resolver = createResolver({ warm: true }, roles)
    const identity = account({ [ACME]: ['clerk'] })
    const permissions = () =>
      (resolver.resolve(identity, undefined) as ResolvedTenant).principal.permissions.list
    expect(permissions()).toEqual(['leases:read'])
    roles[ACME] = new Map()
    expect(permissions()).toEqual([])
  })

  it('reads no roles of a tenant if they do not matter', () => {
    const unreachable = { peek: () => expect.unreachable(), find: () => expect.unreachable() }
    const resolver = new TenantResolver({
      directory: {
        ...{ peekById: byId, peekByCode: byCode, peekByExternalId: byExternalId },
        ...{ byId: unreachable.find, byCode: unreachable.find, byExternalId: unreachable.find },
      },
      roleCache: unreachable,
    })
    const { principal } = resolver.resolve(external('acme', [], ['media:read']), undefined) as ResolvedTenant
    expect(principal).toMatchObject({ kind: 'external', subject: 'https://i.example|s' })
    expect(
      (resolver.resolve(account({ [ACME]: [] }), undefined) as ResolvedTenant).principal.permissions.list,
    ).toEqual([])
  })
})
