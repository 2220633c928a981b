import { exampleOf, type JsonSchema, typesOf } from './examples.ts'

/** How the values of a request are chosen. */
export interface Choice {
  /** Texts carry the tenant's mark where their schema lets them; else examples of the schema are used. */
  readonly marked: boolean
  /** What need not be given is given as well. */
  readonly whole: boolean
}

/** From which the values come. */
export interface Source {
  /** A text of the tenant's own, another each time. */
  readonly text: () => string
  /** The id of a row that the field can name; null where there is none yet. */
  readonly idFor: (field: string) => string | null
}

/** There is no row yet that a field could name. */
export class NoRowYet extends Error {}

/**
 * A value that the schema takes, made of the tenant's own ids and texts.
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

/** Of the properties those that must be given, or all. */
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
  return candidates.find((candidate) => isTaken(schema, candidate)) ?? plain
}

function isTaken(
  { pattern, minLength = 0, maxLength = Number.POSITIVE_INFINITY }: JsonSchema,
  text: string,
): boolean {
  const isLong = text.length >= minLength && text.length <= maxLength
  return isLong && (pattern === undefined || new RegExp(pattern, 'u').test(text))
}
