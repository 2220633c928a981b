import { describe, expect, test } from 'vitest'
import { PermissionSet } from '../../../src/identity/access/permissions.ts'
import type {
  AccountIdentity,
  ExternalIdentity,
  UserPrincipal,
} from '../../../src/identity/callers/principal.ts'
import { Revocations } from '../../../src/identity/callers/revocations.ts'

const ACME = '01890000-0000-7000-8000-00000000000a'
const OTHER = '01890000-0000-7000-8000-00000000000b'
const ANNA = '01890000-0000-7000-8000-000000000001'
const DAY_MS = 86_400_000

function setUp(clock = { now: 0 }) {
  return { clock, revocations: new Revocations({ store: { db: {} as never }, now: () => clock.now }) }
}

const user = (generation: number | null, tenantId = ACME): UserPrincipal => ({
  ...{ kind: 'user', userId: ANNA, tenantId, tenantCode: 'acme', roles: [], tokenId: 'j' },
  ...{ permissions: new PermissionSet([]), generation },
})
const account = (generation: number): AccountIdentity => ({
  ...{ kind: 'account-token', accountId: ANNA, authorization: new Map(), roles: [], tokenId: 'j' },
  generation,
})
const external: ExternalIdentity = {
  ...{ kind: 'external-token', issuer: 'i', entry: 'i', subject: ANNA, tenants: [ACME] },
  ...{ tenantBy: 'code', roles: [] },
  permissions: new PermissionSet([]),
}
const change = (subjectId: string | null, tenantId: string | null = ACME) => ({
  ...{ kind: 'tokens' as const, tenantId },
  subjectId,
})

describe('revoked tokens', () => {
  test('are those of this subject with an earlier generation', () => {
    const { revocations } = setUp()
    expect(revocations.isVoid(user(0))).toBe(false)
    revocations.apply(change(`${ANNA}:2`))
    expect([0, 1, 2, 3].map((generation) => revocations.isVoid(user(generation)))).toEqual([
      ...[true, true, false, false],
    ])
    expect(revocations.isVoid(user(0, OTHER))).toBe(false)
    expect(revocations.isVoid(account(0))).toBe(false)
    expect(revocations.isVoid(external)).toBe(false)
    revocations.apply(change(`${ANNA}:1`, null))
    expect(revocations.isVoid(account(0))).toBe(true)
  })

  test('stay revoked when an older change arrives later', () => {
    const { revocations } = setUp()
    for (const generation of [3, 1, 2]) revocations.apply(change(`${ANNA}:${generation}`))
    expect(revocations.isVoid(user(2))).toBe(true)
  })

  test('are none that the tenant signed itself without a generation', () => {
    const { revocations } = setUp()
    revocations.apply(change(`${ANNA}:2`))
    expect(revocations.isVoid(user(null))).toBe(false)
  })

  test.each([null, '', ANNA, `${ANNA}:`, `${ANNA}:x`, `${ANNA}:-1`, ':1'])(
    'do not follow from the malformed subject %j',
    (subjectId) => {
      const { revocations } = setUp()
      revocations.apply(change(subjectId))
      expect(revocations.isVoid(user(0))).toBe(false)
    },
  )

  test('do not follow from changes of another kind', () => {
    const { revocations } = setUp()
    revocations.apply({ ...change(`${ANNA}:2`), kind: 'tenant' })
    expect(revocations.isVoid(user(0))).toBe(false)
  })

  test('are dropped when the tokens have expired, and not before', () => {
    const { revocations, clock } = setUp()
    revocations.apply(change(`${ANNA}:2`))
    const others = (count: number) => {
      for (let i = 0; i < count; i += 1) revocations.apply(change(`${OTHER}:${i}`, OTHER))
    }
    clock.now = DAY_MS
    others(2_000)
    expect(revocations.isVoid(user(1))).toBe(true)
    clock.now = DAY_MS + 600_000
    others(2_000)
    expect(revocations.isVoid(user(1))).toBe(false)
  })
})
