import type { JsonSchema, Operation } from './document-parts.ts'

/** Moves each schema that has a title to the components, where readers and generated clients find it by name. */
export class NamedSchemas {
  readonly #schemas: Record<string, unknown>
  readonly #texts = new Map<string, string>()

  constructor(schemas: Record<string, unknown>) {
    this.#schemas = schemas
  }

  takeFrom({ requestBody, responses }: Operation): void {
    const contents = [requestBody?.content, ...Object.values(responses).map(({ content }) => content)]
    for (const media of contents.flatMap((content) => Object.values(content ?? {})))
      media.schema = this.#withNames(media.schema)
  }

  #withNames(schema: JsonSchema): JsonSchema {
    const { properties, items, title } = schema
    const parts = Object.entries(properties ?? {}).map(
      ([name, part]) => [name, this.#withNames(part)] as const,
    )
    const inner: JsonSchema = {
      ...schema,
      ...(properties && { properties: Object.fromEntries(parts) }),
      ...(items && { items: this.#withNames(items) }),
    }
    return title === undefined ? inner : this.#name(title, inner)
  }

  #name(title: string, schema: JsonSchema): JsonSchema {
    const text = JSON.stringify(schema)
    const known = this.#texts.get(title)
    if (known !== undefined && known !== text) throw new Error(`two schemas are called ${title}`)
    this.#texts.set(title, text)
    this.#schemas[title] = schema
    return { $ref: `#/components/schemas/${title}` } as JsonSchema
  }
}
