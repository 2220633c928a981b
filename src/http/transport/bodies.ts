/** Shapes that several routes share, and the pieces of answers made from rows. */
import { Type } from 'typebox'
import type { Page } from '../../catalog/pages.ts'
import { fail } from '../../errors.ts'
import { nullable, text } from '../../lib/fields.ts'
import { isUuid } from '../../lib/ids.ts'
import type { HttpDeps } from '../deps.ts'

/** What is not in a schema is refused: a field that does nothing would be believed to do something. */
export const CLOSED = { additionalProperties: false } as const

export const PAGE_FIELDS = {
  limit: Type.Integer({ minimum: 1, maximum: 200, default: 50 }),
  cursor: Type.Optional(Type.String({ minLength: 1, maxLength: 512 })),
}

export const PageQuery = Type.Object(PAGE_FIELDS, CLOSED)

/** Neither shorter nor longer than anything that is ever hashed; the tenant's policy says the rest. */
export const Password = Type.String({ minLength: 1, maxLength: 1024 })

export const RoleNames = Type.Array(text(100), { maxItems: 50, uniqueItems: true })

export const ROLE_FIELDS = {
  name: text(100),
  description: Type.Optional(nullable(text(200))),
  permissions: Type.Array(text(100), { maxItems: 100, uniqueItems: true }),
}

export const NewUserBody = Type.Object(
  {
    email: text(254),
    password: Password,
    username: Type.Optional(nullable(text(100))),
    name: Type.Optional(nullable(text(200))),
    taxNumber: Type.Optional(nullable(text(50))),
    roles: Type.Optional(RoleNames),
  },
  { ...CLOSED, title: 'NewUser' },
)

export const NewClientKeyBody = Type.Object(
  {
    name: text(200),
    permissions: Type.Array(text(100), { maxItems: 100, uniqueItems: true }),
    expiresAt: Type.Optional(Type.Unsafe<string | null>({ type: ['string', 'null'], format: 'date-time' })),
  },
  { ...CLOSED, title: 'NewClientKey' },
)

/** A page as callers see it. */
export function pageView<Row, View>(page: Page<Row>, view: (row: Row) => View): Page<View> {
  return { data: page.data.map(view), nextCursor: page.nextCursor }
}

/**
 * A moment that a database can hold. ISO 8601 also writes leap seconds and years that neither side knows.
 * @throws PublicError VALIDATION_FAILED
 */
export function momentOf(text: string, pointer: string): Date {
  const moment = new Date(text)
  const year = moment.getUTCFullYear()
  if (year >= 1 && year <= 9999) return moment
  throw fail('VALIDATION_FAILED', {
    errors: [{ pointer, message: 'must be a moment of the years 1 to 9999' }],
  })
}

/** `{id}` of a path below `/tenants`. What cannot be an id is the id of no tenant. */
export function tenantIdOf(params: unknown): string {
  const { id } = params as { id: string }
  if (!isUuid(id)) throw fail('TENANT_NOT_FOUND')
  return id.toLowerCase()
}

/** Any other id of a path. */
export function idOf(params: unknown, name = 'id'): string {
  const id = (params as Record<string, string | undefined>)[name] ?? ''
  if (!isUuid(id)) throw fail('NOT_FOUND')
  return id.toLowerCase()
}

/** The home of the tenant that an operator's path names, ACTIVE or not. */
export async function homeOf({ directory, sessions }: HttpDeps, tenantId: string) {
  const route = directory.peekById(tenantId) ?? (await directory.byId(tenantId))
  if (route === null) throw fail('TENANT_NOT_FOUND')
  return { route, session: sessions.open(route) }
}
