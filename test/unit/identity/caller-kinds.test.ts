import { describe, expect, it } from 'vitest'
import { PermissionSet } from '../../../src/identity/access/permissions.ts'
import { auditNameOf, type Caller, rateKeyOf, subjectOf } from '../../../src/identity/callers/caller-kinds.ts'

const permissions = new PermissionSet([])
const member = { subject: 's1', tenantId: 't1', tenantCode: 'acme', permissions, roles: [] }
const token = { roles: [], tokenId: 'j1', generation: 0 }

const cases: [Caller, { subject: string; rateKey?: string; type?: string; unresolved?: true }][] = [
  [{ kind: 'operator', id: 'o1', name: 'Ops', role: 'admin' }, { subject: 'o1' }],
  [
    { kind: 'user', userId: 'u1', tenantId: 't1', tenantCode: 'acme', permissions, ...token },
    { subject: 'u1', rateKey: 't1 u1' },
  ],
  [{ kind: 'client-key', keyId: 'k1', tenantId: 't1', permissions }, { subject: 'k1' }],
  [{ kind: 'account', ...member }, { subject: 's1' }],
  [{ kind: 'external', ...member }, { subject: 's1' }],
  [
    { kind: 'account-token', accountId: 'a1', authorization: new Map(), ...token },
    { subject: 'a1', type: 'account' },
  ],
  [
    {
      ...{ kind: 'external-token', issuer: 'https://i.example', entry: 'https://i.example', subject: 'p1' },
      ...{ tenants: ['acme'], tenantBy: 'code', permissions, roles: [] },
    },
    { subject: 'https://i.example|p1', type: 'external' },
  ],
]

const named = cases.map(([caller, names]) => ({ kind: caller.kind, caller, names }))

describe.each(named)('a caller of kind $kind', ({ caller, names }) => {
  const { subject, rateKey = subject, type = caller.kind } = names
  it('has one name in the audit log and one in the rate limiter', () => {
    expect(subjectOf(caller)).toBe(subject)
    expect(rateKeyOf(caller)).toBe(rateKey)
    expect(auditNameOf(caller)).toEqual({ type, id: subject })
  })
})

it('a user has another rate key in another tenant', () => {
  const user = { kind: 'user', userId: 'u1', tenantCode: 'acme', permissions, ...token } as const
  expect(rateKeyOf({ ...user, tenantId: 't1' })).not.toBe(rateKeyOf({ ...user, tenantId: 't2' }))
})
