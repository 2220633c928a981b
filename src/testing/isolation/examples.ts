/** The parts of JSON Schema that our schemas use. */
export interface JsonSchema {
  readonly type?: string | readonly string[]
  readonly title?: string
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly items?: JsonSchema
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly default?: unknown
  readonly examples?: readonly unknown[]
  readonly format?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly pattern?: string
  readonly minItems?: number
  readonly maxItems?: number
  readonly required?: readonly string[]
  readonly additionalProperties?: unknown
}

const ID = '01900000-0000-7000-8000-000000000001'
const BY_FORMAT: Readonly<Record<string, string>> = {
  uuid: ID,
  'date-time': '2026-01-31T09:30:00.000000Z',
  date: '2026-02-01',
  email: 'ada@acme-corp.example',
}

/** A value that the schema accepts: its own example if it has one. Always the same value. */
export function exampleOf(schema: JsonSchema): unknown {
  if (schema.examples !== undefined) return schema.examples[0]
  if (schema.const !== undefined) return schema.const
  if (schema.default !== undefined) return schema.default
  if (schema.enum !== undefined) return schema.enum[0]
  return ofType(schema)
}

function ofType(schema: JsonSchema): unknown {
  const type = typesOf(schema)[0]
  if (type === 'object') return exampleObject(schema)
  if (type === 'array') return schema.items ? [exampleOf(schema.items)] : []
  if (type === 'integer' || type === 'number')
    return Math.max(schema.minimum ?? 1, Math.min(1, schema.maximum ?? 1))
  if (type === 'boolean') return true
  return type === 'string' ? exampleText(schema) : null
}

function exampleObject({ properties = {} }: JsonSchema): object {
  return Object.fromEntries(Object.entries(properties).map(([name, part]) => [name, exampleOf(part)]))
}

function exampleText({ format = '', pattern = '', maxLength = 20 }: JsonSchema): string {
  if (BY_FORMAT[format] !== undefined) return BY_FORMAT[format]
  if (pattern.includes('[0-9a-f]{64}')) return 'a3'.repeat(32)
  return 'text'.slice(0, maxLength)
}

export function typesOf({ type }: JsonSchema): readonly string[] {
  return type === undefined ? [] : typeof type === 'string' ? [type] : type
}
