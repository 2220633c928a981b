import type { Static, TSchema } from 'typebox'
import { Type } from 'typebox'

/** PostgreSQL cannot store U+0000 in text, so a body that has it is refused before it takes a connection. */
const NO_NUL = '^[^\\u0000]*$'
/** Stricter than the format `uuid`, which also accepts `urn:uuid:…`. PostgreSQL does not. */
const UUID_PATTERN = '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'
const INT4_MAX = 2_147_483_647

/** A row's id, or a reference to one. */
export const uuid = () => Type.String({ format: 'uuid', pattern: UUID_PATTERN })

/** A time in UTC with microseconds, as the server wrote it. */
export const moment = () => Type.String({ format: 'date-time' })

/** Text of 1 to `maxLength` characters, kept as it was sent. */
export const text = (maxLength: number) => Type.String({ minLength: 1, maxLength, pattern: NO_NUL })

/** One of a fixed list of words. */
export const choice = <const Values extends readonly string[]>(...values: Values) =>
  Type.Unsafe<Values[number]>({ type: 'string', enum: [...values] })

/** A finite number between `minimum` and `maximum`, both included. */
export const number = (minimum: number, maximum: number) => Type.Number({ minimum, maximum })

/** An integer that fits the column type `integer`. */
export const int4 = (minimum = -INT4_MAX - 1, maximum = INT4_MAX) => Type.Integer({ minimum, maximum })

/** A calendar day, `YYYY-MM-DD`, that exists. */
export const day = () => Type.String({ format: 'date' })

/** A country by its two letters, ISO 3166. */
export const country = () => Type.String({ pattern: '^[A-Z]{2}$', examples: ['NL'] })

/** The form of an e-mail address: text, an @, text. Only a message to it can show whether it exists. */
export const email = () =>
  Type.String({
    maxLength: 254,
    pattern: '^[^\\s@\\u0000]+@[^\\s@\\u0000]+$',
    examples: ['ada@acme-corp.example'],
  })

/** A telephone number as people write it. */
export const phone = () => example('+31 15 555 0100', text(50))

/** A currency by its three letters, ISO 4217. */
export const currency = () => Type.String({ pattern: '^[A-Z]{3}$', examples: ['EUR'] })

/** Money in the currency's cents: an integer that JSON parsers do not round. */
export const cents = (minimum = Number.MIN_SAFE_INTEGER) =>
  Type.Integer({ minimum, maximum: Number.MAX_SAFE_INTEGER })

/** A SHA-256 in lower-case hex. */
export const sha256 = () => Type.String({ pattern: '^[0-9a-f]{64}$' })

/** Several ids, each once. */
export const uuids = (minItems: number, maxItems: number) =>
  Type.Array(uuid(), { minItems, maxItems, uniqueItems: true })

/** The same field with an example value for the OpenAPI document. */
export function example<Field extends TSchema>(value: Static<Field>, field: Field): Field {
  return { ...field, examples: [value] }
}

/** An object of optional parts, kept in a `jsonb` column. In a patch its parts are merged one by one. */
export const parts = (properties: Record<string, TSchema>) =>
  Type.Object(
    Object.fromEntries(
      Object.entries(properties).map(([name, schema]) => [name, Type.Optional(nullable(schema))]),
    ),
    { additionalProperties: false },
  )

/** A field that may be left out, and then is null. */
export const optional = <Schema extends TSchema>(schema: Schema) => Type.Optional(schema)

/**
 * The same schema with null allowed. It is `type: [x, 'null']` and not a union, because the serialiser checks a value against
 * each member of a union with ajv. A list of types costs one `typeof`.
 */
export function nullable(schema: TSchema): TSchema {
  const { type, enum: values, ...rest } = schema as { type: string; enum?: unknown[] }
  return Type.Unsafe<unknown>({ ...rest, type: [type, 'null'], ...(values && { enum: [...values, null] }) })
}
