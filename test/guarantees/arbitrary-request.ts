import fc from 'fast-check'
import { type JsonSchema, typesOf } from '../../src/testing/isolation/examples.ts'
import { collectionOf } from './prover.ts'

interface Parameter {
  readonly in: 'path' | 'query' | 'header'
  readonly name: string
  readonly schema: JsonSchema
  readonly $ref?: string
}

interface Operation {
  /** The security of the document, if the operation has none of its own. */
  readonly security?: readonly Readonly<Record<string, unknown>>[]
  readonly parameters?: readonly Parameter[]
  readonly requestBody?: { readonly content: Record<string, { readonly schema: Schema }> }
  readonly responses: Record<string, { readonly $ref?: string }>
}

type Schema = JsonSchema & { readonly $ref?: string }

export interface FuzzDocument {
  readonly paths: Record<string, Record<string, Operation>>
  readonly components: {
    readonly schemas: Record<string, JsonSchema>
    readonly parameters: Record<string, Parameter>
    readonly responses: Record<string, { readonly content?: Record<string, { readonly schema: object }> }>
  }
}

export interface FuzzRequest {
  readonly method: string
  /** The path as the document writes it. */
  readonly template: string
  readonly operation: Operation
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
}

/** Headers that no schema names, but that a caller may send. */
const HOSTILE: readonly unknown[] = [
  ...[
    '',
    ' ',
    '\u0000',
    'a\u0000b',
    '\ud800',
    '‮',
    '😀'.repeat(300),
    'x'.repeat(5_000),
    '%',
    '%00',
    '../../x',
  ],
  ...[
    "'; drop table places; --",
    '$(1)',
    '$1',
    '\\',
    '{}',
    '[]',
    'null',
    'true',
    'NaN',
    '-0',
    '1e400',
    '\r\nx: y',
  ],
  ...[
    'infinity',
    '-infinity',
    'epoch',
    '0000-00-00',
    '0001-01-01',
    '9999-12-31',
    '10000-01-01',
    '2026-02-30',
  ],
  ...[
    '24:00:00',
    '2026-01-01T25:00:00Z',
    '2026-01-01T00:00:60Z',
    '-004713-01-01',
    '+275760-09-13T00:00:00.000Z',
  ],
  ...[0, -1, 1.5, 2 ** 31, -(2 ** 31) - 1, 2 ** 53, 1e308, -1e-308, 5e-324, null, true, [], {}, [[]], [null]],
  { __proto__: null, constructor: { prototype: {} } },
  { tenantId: '01900000-0000-7000-8000-000000000001', tenant_id: 1 },
]

/** Stands for the id of a row that exists when the request is sent, because rows are created and deleted meanwhile. */
export const ROW = /row\.([a-z-]+)\.(\d+)/g

/** Requests to every operation of the document. Most are valid, many are wrong in one place, and some in all places. */
export function arbitraryRequest(document: FuzzDocument): fc.Arbitrary<FuzzRequest> {
  const values = new Values(document)
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  )
  return fc.oneof(
    ...operations.map((each) => ({
      weight: takesPassword(document, each.operation) ? 1 : 5,
      arbitrary: requestTo(each, document, values),
    })),
  )
}

/** Hashing a password costs as much as ten other requests. */
function takesPassword(document: FuzzDocument, { requestBody }: Operation): boolean {
  const named = requestBody?.content['application/json']?.schema
  if (named === undefined) return false
  const schema = document.components.schemas[named.$ref?.split('/').at(-1) ?? ''] ?? named
  return JSON.stringify(schema).toLowerCase().includes('password')
}

function requestTo(
  { path, method, operation }: Pick<FuzzRequest, 'method' | 'operation'> & { path: string },
  document: FuzzDocument,
  values: Values,
): fc.Arbitrary<FuzzRequest> {
  const parameters = (operation.parameters ?? []).map((given) => resolve(document, given))
  const named = (place: Parameter['in']) =>
    values.some(parameters.filter((parameter) => parameter.in === place))
  return fc
    .record({
      method: method === 'GET' ? fc.constantFrom('GET', 'GET', 'GET', 'HEAD') : fc.constant(method),
      url: values.path(path, method === 'DELETE'),
      query: mostly(
        named('query'),
        fc.dictionary(fc.string({ maxLength: 10 }), values.hostile(), { maxKeys: 3 }),
      ),
      headers: named('header'),
      body: values.body(operation.requestBody?.content['application/json']?.schema),
      type: fc.oneof(
        { weight: 30, arbitrary: fc.constant('application/json') },
        {
          weight: 1,
          arbitrary: fc.constantFrom('text/plain', 'application/merge-patch+json', 'multipart/form-data'),
        },
      ),
    })
    .map(({ url, query, headers, body, type, ...request }) => ({
      ...request,
      template: path,
      operation,
      url: url + queryText(query as Record<string, unknown>),
      headers: {
        ...headerTexts(headers as Record<string, unknown>),
        ...(body !== undefined && { 'content-type': type }),
      },
      body: ['GET', 'HEAD'].includes(request.method) ? undefined : body,
    }))
}

function resolve({ components }: FuzzDocument, given: Parameter): Parameter {
  return components.parameters[given.$ref?.split('/').at(-1) ?? ''] ?? given
}

function mostly<A, B>(usual: fc.Arbitrary<A>, rare: fc.Arbitrary<B>): fc.Arbitrary<A | B> {
  return fc.oneof({ weight: 9, arbitrary: usual }, { weight: 1, arbitrary: rare })
}

const text = (value: unknown) =>
  (typeof value === 'string' ? value : (JSON.stringify(value) ?? '')).toWellFormed()
const encoded = (value: unknown) => encodeURIComponent(text(value)).replace(/^\.+$/, '%2e')

function queryText(query: Record<string, unknown>): string {
  const parts = Object.entries(query).map(([name, value]) => `${encoded(name)}=${encoded(value)}`)
  return parts.length === 0 ? '' : `?${parts.join('&')}`
}

/** Characters that a header may contain. HTTP itself refuses other bytes. */
function headerTexts(headers: Record<string, unknown>): Record<string, string> {
  const entries = Object.entries(headers).map(
    ([name, value]) => [name, text(value).replace(/[^\x20-\x7e]/g, '~')] as const,
  )
  return Object.fromEntries(entries)
}

const rowOf = (collection: string) => fc.nat(999).map((n) => `row.${collection}.${n}`)

class Values {
  readonly #document: FuzzDocument

  constructor(document: FuzzDocument) {
    this.#document = document
  }

  /** The path with its ids: ids of existing rows, unless the requests would soon delete them all. */
  path(template: string, deletes: boolean): fc.Arbitrary<string> {
    const id = (collection: string) =>
      fc.oneof(
        { weight: deletes ? 2 : 8, arbitrary: rowOf(collection) },
        { weight: deletes ? 6 : 1, arbitrary: fc.uuid() },
        { weight: 1, arbitrary: this.hostile().map(encoded) },
      )
    const steps = template
      .split('/')
      .map((step, index, all) => (step.startsWith('{') ? id(all[index - 1] ?? '') : fc.constant(step)))
    return fc.tuple(...steps).map((made) => made.join('/'))
  }

  /** A few of the parameters. All of them together would hardly ever be valid. */
  some(parameters: readonly Parameter[]): fc.Arbitrary<Record<string, unknown>> {
    const absent = { weight: 9, arbitrary: fc.constant(undefined) }
    const parts = parameters.map(({ name, schema }) => [
      name,
      fc.oneof(absent, { weight: 1, arbitrary: this.of(schema, name) }),
    ])
    return (fc.record(Object.fromEntries(parts)) as fc.Arbitrary<Record<string, unknown>>).map((made) =>
      Object.fromEntries(Object.entries(made).filter(([, value]) => value !== undefined)),
    )
  }

  hostile(): fc.Arbitrary<unknown> {
    return fc.oneof(
      fc.constantFrom(...HOSTILE),
      fc.jsonValue({ maxDepth: 2 }),
      fc.string({ unit: 'binary', maxLength: 20 }),
    )
  }

  /** The text of a body: JSON, and rarely malformed. */
  body(schema: Schema | undefined): fc.Arbitrary<string | undefined> {
    const value = schema === undefined ? fc.constant(undefined) : this.of(schema)
    const broken = fc.oneof(
      fc.string({ maxLength: 30 }),
      fc.constantFrom(
        '{',
        '{"a":1,"a":2}',
        '[1,]',
        '{"__proto__":{}}',
        '['.repeat(500),
        '﻿{}',
        '1e999',
        '"\\ud800"',
      ),
    )
    return fc.oneof(
      {
        weight: 14,
        arbitrary: value.map((given) => (given === undefined ? undefined : JSON.stringify(given))),
      },
      { weight: 1, arbitrary: this.hostile().map((given) => JSON.stringify(given)) },
      { weight: 1, arbitrary: broken },
    )
  }

  of(schema: Schema, name = ''): fc.Arbitrary<unknown> {
    return fc.oneof(
      { weight: 30, arbitrary: this.#fitting(schema, name) },
      { weight: 1, arbitrary: this.hostile() },
    )
  }

  #fitting(schema: Schema, name: string): fc.Arbitrary<unknown> {
    const named =
      schema.$ref === undefined
        ? undefined
        : this.#document.components.schemas[schema.$ref.split('/').at(-1) ?? '']
    if (named !== undefined) return this.#fitting(named, name)
    if (schema.enum !== undefined) return fc.constantFrom(...schema.enum)
    const types = typesOf(schema)
    return types.length === 0
      ? fc.jsonValue()
      : fc.oneof(...types.map((type) => this.#typed(type, schema, name)))
  }

  #typed(type: string, schema: Schema, name: string): fc.Arbitrary<unknown> {
    if (type === 'object') return this.#object(schema)
    if (type === 'array') {
      const { minItems: minLength = 0, maxItems = 4 } = schema
      return fc.array(this.of(schema.items ?? {}, name), { minLength, maxLength: Math.min(4, maxItems) })
    }
    const { minimum: min = -(2 ** 40), maximum: max = 2 ** 40 } = schema
    if (type === 'integer') return fc.integer({ min: Math.max(min, Number.MIN_SAFE_INTEGER), max })
    if (type === 'number') return fc.double({ min, max, noNaN: true })
    if (type === 'boolean') return fc.boolean()
    return type === 'null' ? fc.constant(null) : this.#text(schema, name)
  }

  #object({ properties = {}, required = [] }: Schema): fc.Arbitrary<object> {
    const parts = Object.entries(properties).map(
      ([name, part]) => [name, this.of(part as Schema, name)] as const,
    )
    const exact = fc.record(Object.fromEntries(parts), { requiredKeys: [...required] })
    return fc.oneof(
      { weight: 12, arbitrary: exact },
      { weight: 1, arbitrary: fc.record(Object.fromEntries(parts), { requiredKeys: [] }) },
      {
        weight: 1,
        arbitrary: fc
          .tuple(exact, fc.dictionary(fc.string(), this.hostile()))
          .map(([a, b]) => ({ ...a, ...b })),
      },
    ) as fc.Arbitrary<object>
  }

  #text({ format, pattern, minLength = 0, maxLength = 40 }: Schema, name: string): fc.Arbitrary<unknown> {
    if (format === 'uuid') return mostly(rowOf(collectionOf(name)), fc.uuid())
    const day = fc.date({ min: new Date('1900-01-01'), max: new Date('2200-01-01'), noInvalidDate: true })
    if (format === 'date') return day.map((date) => date.toISOString().slice(0, 10))
    if (format === 'date-time') return day.map((date) => date.toISOString())
    if (pattern !== undefined && !pattern.startsWith('^[^')) return fc.stringMatching(new RegExp(pattern))
    return fc.string({ unit: 'grapheme', minLength, maxLength: Math.max(minLength, Math.min(maxLength, 60)) })
  }
}
