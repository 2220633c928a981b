import { exampleOf, type JsonSchema, typesOf } from './examples.ts'

/** How the values of a request are chosen. */
export interface Choice {
  /** If true, texts contain the tenant's mark where the schema allows it. Otherwise they are the schema's examples. */
  readonly marked: boolean
  /** If true, optional fields are given, too. */
  readonly whole: boolean
}

/** The source of the values. */
export interface Source {
  /** A new text with the tenant's mark. */
  readonly text: () => string
  /** The id of a row that the field can refer to. Null if there is none yet. */
  readonly idFor: (field: string) => string | null
}

/** There is no row yet that a field could refer to. */
export class NoRowYet extends Error {}

/**
 * A value that the schema accepts, made of the tenant's own ids and texts.
 * @throws NoRowYet
 */
export function valueFor(schema: JsonSchema, name: string, at: { source: Source; choice: Choice }): unknown {
  const { anyOf } = schema as { anyOf?: readonly JsonSchema[] }
  const [first] = anyOf?.filter((part) => part.type !== 'null') ?? []
  if (first !== undefined) return valueFor(first, name, at)
  if (schema.const !== undefined) return schema.const
  const type = typesOf(schema)[0]
  if (type === 'object') return objectFor(schema, at)
  if (type === 'array') return arrayFor(schema, name, at)
  if (type === 'string' && schema.enum === undefined) return textFor(schema, name, at)
  return exampleOf(schema)
}

/** An object with the required properties, or with all. */
export function objectFor(
  { properties = {}, required = [] }: JsonSchema,
  at: { source: Source; choice: Choice },
): Record<string, unknown> {
  const given: Record<string, unknown> = {}
  for (const [name, part] of Object.entries(properties)) {
    const isRequired = required.includes(name)
    if (!isRequired && !at.choice.whole) continue
    try {
      given[name] = valueFor(part, name, at)
    } catch (error) {
      if (isRequired || !(error instanceof NoRowYet)) throw error
    }
  }
  return given
}

function arrayFor(schema: JsonSchema, name: string, at: { source: Source; choice: Choice }): unknown[] {
  const { items, minItems = 0, examples } = schema
  if (items === undefined) return (examples?.[0] as unknown[]) ?? []
  const one = valueFor(items, name, at)
  return Array.from({ length: Math.max(1, minItems) }, (_, i) => (i === 0 ? one : valueFor(items, name, at)))
}

function textFor(
  schema: JsonSchema,
  name: string,
  { source, choice }: { source: Source; choice: Choice },
): unknown {
  if (schema.format === 'uuid') {
    const id = source.idFor(name)
    if (id === null) throw new NoRowYet(`there is no row that ${name} could name`)
    return id
  }
  const plain = exampleOf(schema)
  if (!choice.marked || (schema.format !== undefined && schema.format !== 'email')) return plain
  const text = source.text()
  const candidates = schema.format === 'email' ? [`${text}@mail.example`] : [text, `${text}@mail.example`]
  return candidates.find((candidate) => isAccepted(schema, candidate)) ?? plain
}

function isAccepted(
  { pattern, minLength = 0, maxLength = Number.POSITIVE_INFINITY }: JsonSchema,
  text: string,
): boolean {
  const hasRightLength = text.length >= minLength && text.length <= maxLength
  return hasRightLength && (pattern === undefined || new RegExp(pattern, 'u').test(text))
}
