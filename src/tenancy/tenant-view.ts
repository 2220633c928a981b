import type { ApplicationDb, Principal, Tenant, TenantName } from '../application.ts'
import type { Actor, AuditRecord } from '../catalog/audit/entries.ts'
import type { TenantSession } from '../sql/session.ts'
import type { OwnSchema } from './own-schema.ts'

/** The tenant of a view, and the principal that works in it. */
export interface TenantAndPrincipal extends TenantName {
  readonly principal: Principal
  readonly actingFor: TenantName | null
  /** The principal as the audit log names it. */
  readonly actor: Actor
}

export interface ViewParts {
  readonly schema: OwnSchema
  /** Opens a session for SQL of an application. Called at the first statement. */
  readonly open: () => TenantSession
  readonly note: (record: AuditRecord) => void
}

type Work<T> = (db: ApplicationDb, inside: Tenant) => Promise<T>

/** How a view reaches rows: over its own session, or inside an open transaction. */
interface RowAccess {
  readonly db: () => ApplicationDb
  readonly transaction: <T>(fn: Work<T>) => Promise<T>
  readonly note: (record: AuditRecord) => void
}

/** A tenant as handlers, jobs and scripts of an application see it. Private fields keep the session out of their reach. */
export class TenantView implements Tenant {
  readonly id: string
  readonly code: string
  readonly name: string
  readonly principal: Principal
  readonly actingFor: TenantName | null
  readonly #actor: Actor
  readonly #access: RowAccess

  constructor(subject: TenantAndPrincipal, access: RowAccess) {
    this.id = subject.id
    this.code = subject.code
    this.name = subject.name
    this.principal = subject.principal
    this.actingFor = subject.actingFor
    this.#actor = subject.actor
    this.#access = access
    Object.freeze(this)
  }

  get db(): ApplicationDb {
    return this.#access.db()
  }

  // Properties, not methods: a handler may destructure its tenant.
  readonly transaction = <T>(fn: Work<T>): Promise<T> => this.#access.transaction(fn)

  readonly audit = (action: string, details: Readonly<Record<string, unknown>> = {}): void => {
    assertOwnAction(action)
    this.#access.note({ actor: this.#actor, action, tenantId: this.id, after: plainJson(details) })
  }
}

/** The view of a tenant over a session of its own. */
export function viewOverSession(subject: TenantAndPrincipal, parts: ViewParts): Tenant {
  const { schema, open, note } = parts
  return new TenantView(subject, {
    db: () => schema.over(open()),
    transaction: async (fn) => {
      const { result, noted } = await open().transaction(async (_db, session) => {
        // New for each attempt: records of an attempt that failed must not be written.
        const inside = viewInTransaction(subject, schema.over(session))
        const result = await fn(inside.tenant.db, inside.tenant)
        inside.assertWhole()
        return { result, noted: inside.noted }
      })
      for (const record of noted) note(record)
      return result
    },
    note,
  })
}

/** A view within a transaction. */
export interface Inside {
  readonly tenant: Tenant
  /** The records to write to the audit log after the commit. */
  readonly noted: AuditRecord[]
  /** Call this before the commit. @throws the error of a transaction within this one */
  assertWhole(): void
}

/**
 * The view within a transaction. A transaction that begins inside it is a part of it. If that part fails, the whole must fail, even
 * if the application caught the error: otherwise the failed part's writes would be committed.
 */
export function viewInTransaction(subject: TenantAndPrincipal, db: ApplicationDb): Inside {
  const noted: AuditRecord[] = []
  let failure: { readonly error: unknown } | null = null
  const tenant: Tenant = new TenantView(subject, {
    db: () => db,
    transaction: async (fn) => {
      try {
        return await fn(db, tenant)
      } catch (error) {
        failure ??= { error }
        throw error
      }
    },
    note: (record) => void noted.push(record),
  })
  const assertWhole = () => {
    if (failure !== null) throw failure.error
  }
  return { tenant, noted, assertWhole }
}

const ACTION = /^[a-z][a-z0-9-]*(?:\.[a-z][a-z0-9-]*)+$/
const MAX_ACTION_LENGTH = 100
const MAX_DETAILS_BYTES = 8 * 1024

/** The first words of the core's own actions. No record of an application may look like one of them. */
const CORE_NOUNS: ReadonlySet<string> = new Set([
  ...['access', 'account', 'audit', 'auth', 'client-key', 'database', 'encryption', 'job', 'membership'],
  ...['migration', 'move', 'operator', 'role', 'run', 'server', 'session', 'signing-key', 'tenant', 'user'],
])

function assertOwnAction(action: string): void {
  if (typeof action !== 'string' || action.length > MAX_ACTION_LENGTH || !ACTION.test(action))
    throw new TypeError('An action of the audit log must be of the form "booking.cancel".')
  const [noun = ''] = action.split('.')
  if (CORE_NOUNS.has(noun) || noun.startsWith('freehold'))
    throw new TypeError(`Freehold writes actions that begin with "${noun}." itself. Use another word.`)
}

/** A copy, so that later changes by the caller do not change the record. */
function plainJson(details: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const text = JSON.stringify(details)
  if (typeof details !== 'object' || details === null || Array.isArray(details) || text === undefined)
    throw new TypeError('Details of an audit entry must be an object.')
  if (Buffer.byteLength(text) > MAX_DETAILS_BYTES)
    throw new TypeError(`Details of an audit entry may have at most ${MAX_DETAILS_BYTES} bytes of JSON.`)
  // jsonb cannot store U+0000 or half of a surrogate pair.
  return JSON.parse(text, (_name, value: unknown) =>
    typeof value === 'string' ? value.toWellFormed().replaceAll('\0', '\u{fffd}') : value,
  ) as Record<string, unknown>
}
