import type { Actor } from '../../catalog/audit/entries.ts'
import type {
  AccountIdentity,
  ClientKeyPrincipal,
  ExternalIdentity,
  MemberPrincipal,
  OperatorPrincipal,
  UserPrincipal,
} from './principal.ts'

/** The caller of a request: a principal, or an identity whose tenant is not resolved yet. */
export type Caller = CallersByKind[keyof CallersByKind]

interface CallersByKind {
  operator: OperatorPrincipal
  user: UserPrincipal
  'client-key': ClientKeyPrincipal
  account: MemberPrincipal
  'account-token': AccountIdentity
  external: MemberPrincipal
  'external-token': ExternalIdentity
}

interface CallerKind<C> {
  /** What the audit log calls this kind of caller. */
  readonly actorType: Actor['type']
  /** The caller's id in the audit log and in the rows that the caller creates. */
  readonly subject: (caller: C) => string
  /** The caller's key in the rate limiter, if it differs from the subject. */
  readonly rateKey?: (caller: C) => string
}

const KINDS: { readonly [K in keyof CallersByKind]: CallerKind<CallersByKind[K]> } = {
  operator: { actorType: 'operator', subject: ({ id }) => id },
  user: {
    actorType: 'user',
    subject: ({ userId }) => userId,
    // With the tenant: a tenant that signs its own tokens can write any user id into them.
    rateKey: ({ tenantId, userId }) => `${tenantId} ${userId}`,
  },
  'client-key': { actorType: 'client-key', subject: ({ keyId }) => keyId },
  account: { actorType: 'account', subject: ({ subject }) => subject },
  'account-token': { actorType: 'account', subject: ({ accountId }) => accountId },
  external: { actorType: 'external', subject: ({ subject }) => subject },
  'external-token': {
    actorType: 'external',
    subject: ({ issuer, subject }) => `${issuer}|${subject}`,
  },
}

export function subjectOf(caller: Caller): string {
  return kindOf(caller).subject(caller)
}

export function rateKeyOf(caller: Caller): string {
  const { rateKey, subject } = kindOf(caller)
  return (rateKey ?? subject)(caller)
}

/** The caller as the audit log names it. */
export function auditNameOf(caller: Caller): Pick<Actor, 'type' | 'id'> {
  const { actorType, subject } = kindOf(caller)
  return { type: actorType, id: subject(caller) }
}

/** Each entry of the table takes the callers of its own kind. TypeScript cannot infer that from an index. */
function kindOf(caller: Caller): CallerKind<Caller> {
  return KINDS[caller.kind] as CallerKind<Caller>
}
