import type { TObject, TSchema } from 'typebox'
import { Type } from 'typebox'
import { moment, nullable, uuid } from '../lib/fields.ts'
import { MAX_CURSOR_LENGTH } from './cursor.ts'
import type { Field, Model } from './model.ts'
import { DEFAULT_LIMIT, MAX_LIMIT } from './query.ts'

/** The shapes of a collection's bodies, queries and answers. */
export interface ResourceSchemas {
  readonly params: TObject
  readonly listQuery: TObject
  readonly row: TObject
  readonly list: TObject
  readonly create: TObject
  readonly patch: TObject
}

/** Unknown fields are refused, so a body or query that names a tenant is. */
const CLOSED = { additionalProperties: false } as const

/** Derives all schemas of a collection from its fields. */
export function resourceSchemas(title: string, model: Model): ResourceSchemas {
  const row = rowSchema(title, model.fields)
  const given = model.fields.filter(({ readOnly }) => !readOnly)
  return {
    params: Type.Object({ id: uuid() }, CLOSED),
    listQuery: listQuerySchema(model),
    row,
    list: Type.Object({ data: Type.Array(row), nextCursor: nullable(Type.String()) }, CLOSED),
    create: Type.Object(
      properties(given, (field) => (field.required ? inBody(field) : Type.Optional(inBody(field)))),
      { ...CLOSED, title: `New${title}` },
    ),
    patch: Type.Object(
      properties(given, (field) => Type.Optional(inBody(field))),
      { ...CLOSED, title: `${title}Patch` },
    ),
  }
}

function rowSchema(title: string, fields: readonly Field[]): TObject {
  return Type.Object(
    { id: uuid(), ...properties(fields, inBody), createdAt: moment(), updatedAt: moment() },
    { ...CLOSED, title },
  )
}

function listQuerySchema({ fields, filters, sorts, defaultSort }: Model): TObject {
  const orders = [...sorts.keys()].flatMap((sort) => [sort, `-${sort}`])
  return Type.Object(
    {
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_LIMIT, default: DEFAULT_LIMIT })),
      cursor: Type.Optional(Type.String({ minLength: 1, maxLength: MAX_CURSOR_LENGTH })),
      sort: Type.Optional(Type.Unsafe<string>({ type: 'string', enum: orders, default: defaultSort })),
      ...properties(
        fields.filter(({ name }) => filters.includes(name)),
        ({ schema }) => Type.Optional(schema),
      ),
    },
    CLOSED,
  )
}

/** Null is allowed if the column allows it. In a patch it clears the field. In a new row it means the same as leaving it out. */
function inBody({ schema, nullable: takesNull }: Field): TSchema {
  return takesNull ? nullable(schema) : schema
}

function properties(fields: readonly Field[], schemaOf: (field: Field) => TSchema): Record<string, TSchema> {
  return Object.fromEntries(fields.map((field) => [field.name, schemaOf(field)]))
}
