interface Shape {
  readonly type?: unknown
  readonly properties?: Readonly<Record<string, Shape>>
  readonly items?: Shape
  readonly additionalProperties?: unknown
  readonly [keyword: string]: unknown
}

/** Schemas of which a part alone cannot tell what is not declared. */
const COMPOSED = ['allOf', 'anyOf', 'oneOf', '$ref', 'if', 'patternProperties', 'unevaluatedProperties']

/**
 * The schema with every object closed that does not say itself what else it takes: a member that is not declared is refused,
 * not passed over.
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
