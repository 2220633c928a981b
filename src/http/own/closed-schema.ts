interface Shape {
  readonly type?: unknown
  readonly properties?: Readonly<Record<string, Shape>>
  readonly items?: Shape
  readonly additionalProperties?: unknown
  readonly [keyword: string]: unknown
}

/** In a schema with one of these keywords, no part alone knows all declared members. */
const COMPOSED = ['allOf', 'anyOf', 'oneOf', '$ref', 'if', 'patternProperties', 'unevaluatedProperties']

/**
 * Closes every object of the schema that does not set `additionalProperties` itself, so that undeclared members are refused
 * instead of ignored.
 */
export function closed(schema: unknown): unknown {
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) return schema
  const shape = schema as Shape
  if (COMPOSED.some((keyword) => keyword in shape)) return shape
  const { properties, items } = shape
  return {
    ...shape,
    ...(properties !== undefined && {
      properties: Object.fromEntries(Object.entries(properties).map(([name, part]) => [name, closed(part)])),
      ...(!('additionalProperties' in shape) && { additionalProperties: false }),
    }),
    ...(items !== undefined && { items: closed(items) }),
  }
}
