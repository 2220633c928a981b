import type { ApplicationDb, Principal, Tenant, TenantName } from '../application.ts'
import type { Actor, AuditRecord } from '../catalog/audit/entries.ts'
import type { TenantSession } from '../sql/session.ts'
import type { OwnSchema } from './own-schema.ts'

/** Whose view it is, and who works in it. */
export interface Place extends TenantName {
  readonly principal: Principal
  readonly actingFor: TenantName | null
  /** The principal as the audit log names it. */
  readonly actor: Actor
}

export interface ViewParts {
  readonly schema: OwnSchema
  /** A session for SQL of an application. Asked for when the first statement is. */
  readonly open: () => TenantSession
  readonly note: (record: AuditRecord) => void
}

type Work<T> = (db: ApplicationDb, inside: Tenant) => Promise<T>

/** The way to the rows, which is the session's own or that of a transaction under way. */
interface Way {
  readonly db: () => ApplicationDb
  readonly transaction: <T>(fn: Work<T>) => Promise<T>
  readonly note: (record: AuditRecord) => void
}

/** A tenant as handlers, jobs and scripts of an application see it. What is private here they cannot get at. */
export class TenantView implements Tenant {
  readonly id: string
  readonly code: string
  readonly name: string
  readonly principal: Principal
  readonly actingFor: TenantName | null
  readonly #actor: Actor
  readonly #way: Way

  constructor(place: Place, way: Way) {
    this.id = place.id
    this.code = place.code
    this.name = place.name
    this.principal = place.principal
    this.actingFor = place.actingFor
    this.#actor = place.actor
    this.#way = way
    Object.freeze(this)
  }

  get db(): ApplicationDb {
    return this.#way.db()
  }

  // Not methods: a handler may take them out of its tenant.
  readonly transaction = <T>(fn: Work<T>): Promise<T> => this.#way.transaction(fn)

  readonly audit = (action: string, details: Readonly<Record<string, unknown>> = {}): void => {
    assertOwnAction(action)
    this.#way.note({ actor: this.#actor, action, tenantId: this.id, after: plainJson(details) })
  }
}

/** The view along a session of its own. */
export function viewAlong(place: Place, parts: ViewParts): Tenant {
  const { schema, open, note } = parts
  return new TenantView(place, {
    db: () => schema.over(open()),
    transaction: async (fn) => {
      const { result, noted } = await open().transaction(async (_db, session) => {
        // Made for each attempt: what a transaction that did not begin has noted is not true.
        const inside = viewInside(place, schema.over(session))
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
  /** To be written to the audit log once the transaction has committed. */
  readonly noted: AuditRecord[]
  /** To be called before the transaction commits. @throws what a transaction within it has thrown */
  assertWhole(): void
}

/**
 * The view within a transaction. One that is begun in it is part of it, so its failure is that of the whole, also where it was
 * caught: what it had written would be committed with the rest.
 */
export function viewInside(place: Place, db: ApplicationDb): Inside {
  const noted: AuditRecord[] = []
  let failure: { readonly error: unknown } | null = null
  const tenant: Tenant = new TenantView(place, {
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

/** First words of the core's own actions: a record of an application must not be taken for one of them. */
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

/** A copy, so that what is changed after the call does not change what was noted. */
function plainJson(details: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const text = JSON.stringify(details)
  if (typeof details !== 'object' || details === null || Array.isArray(details) || text === undefined)
    throw new TypeError('Details of an audit entry must be an object.')
  if (Buffer.byteLength(text) > MAX_DETAILS_BYTES)
    throw new TypeError(`Details of an audit entry may have at most ${MAX_DETAILS_BYTES} bytes of JSON.`)
  // jsonb keeps no U+0000, and half of a surrogate pair is no character.
  return JSON.parse(text, (_name, value: unknown) =>
    typeof value === 'string' ? value.toWellFormed().replaceAll('\0', '\u{fffd}') : value,
  ) as Record<string, unknown>
}
