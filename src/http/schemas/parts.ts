/** Parts of the schemas of bodies, queries and answers. */
import { type TProperties, type TSchema, Type } from 'typebox'
import { nullable, uuid } from '../../lib/fields.ts'

/** A field that is not in a schema is refused, because a caller would expect an effect of it. */
export const CLOSED = { additionalProperties: false } as const

/**
 * An object with a name, by which the document and generated clients know it. `shown` is its example, for objects
 * whose fields cannot be combined freely.
 */
export function named<Fields extends TProperties>(title: string, fields: Fields, shown?: object) {
  return Type.Object(fields, { ...CLOSED, title, ...(shown && { examples: [shown] }) })
}

/** An object without a name. */
export const part = <Fields extends TProperties>(fields: Fields) => Type.Object(fields, CLOSED)

/** Any object. */
export const anything = (title?: string) =>
  Type.Object({}, { additionalProperties: true, ...(title !== undefined && { title }) })

/** A string in an answer, with the value that the document shows for it. */
export const string = (shown?: string) => Type.String(shown === undefined ? {} : { examples: [shown] })

/** A list of strings in an answer. */
export const strings = (...shown: string[]) =>
  Type.Array(Type.String(), shown.length === 0 ? {} : { examples: [shown] })

export const integer = (shown?: number) => Type.Integer(shown === undefined ? {} : { examples: [shown] })

export const orNull = (schema: TSchema) => nullable(schema)

/** One page of a list. */
export const pageOf = (title: string, row: TSchema) =>
  named(title, { data: Type.Array(row), nextCursor: orNull(Type.String()) })

export const PAGE_FIELDS = {
  limit: Type.Integer({ minimum: 1, maximum: 200, default: 50, description: 'Rows in a page.' }),
  cursor: Type.Optional(
    Type.String({ minLength: 1, maxLength: 512, description: 'The `nextCursor` of the page before.' }),
  ),
}

export const PageQuery = Type.Object(PAGE_FIELDS, CLOSED)

/** An id in a path. The handler checks its form, and answers 404 if it is no UUID. */
export const pathId = (description: string) =>
  Type.String({ description, examples: ['01900000-0000-7000-8000-000000000001'] })

export const ID_PARAMS = Type.Object({ id: pathId("The row's id.") })
export const TENANT_PARAMS = Type.Object({ id: pathId("The tenant's id.") })

/** A tenant that an answer mentions. */
export const tenantName = { id: uuid(), code: string('acme-corp'), name: string('Acme Corporation') }
