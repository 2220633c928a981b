import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Validator } from '@seriousme/openapi-schema-validator'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import type { FastifyInstance } from 'fastify'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ERROR_TABLE } from '../../src/errors.ts'
import { makeServer } from '../unit/http/fakes.ts'

interface Operation {
  readonly operationId: string
  readonly summary: string
  readonly description: string
  readonly tags: readonly string[]
  /** The security of the document, if the operation has none of its own. */
  readonly security?: readonly object[]
  readonly parameters?: readonly { in?: string; name?: string; $ref?: string }[]
  readonly requestBody?: { readonly content: Record<string, Media> }
  readonly responses: Record<string, Answer>
}

interface Answer {
  readonly $ref?: string
  readonly description: string
  readonly headers?: object
  readonly content?: Record<string, Media>
}

interface Media {
  readonly schema: object
}

interface Document {
  readonly openapi: string
  readonly tags: readonly { readonly name: string; readonly description: string }[]
  readonly security: readonly object[]
  readonly paths: Record<string, Record<string, Operation>>
  readonly components: Record<
    'schemas' | 'examples' | 'parameters' | 'headers' | 'securitySchemes',
    Record<string, object>
  > & { readonly responses: Record<string, Answer> }
}

let server: FastifyInstance
let document: Document
const routes: { method: string; path: string; kind: string | undefined }[] = []

beforeAll(async () => {
  server = makeServer()
  server.addHook('onRoute', ({ method, url, config }) => {
    for (const each of [method].flat()) routes.push({ method: each, path: url, kind: config?.access?.kind })
  })
  await server.ready()
  document = (await server.inject('/openapi.json')).json()
})
afterAll(() => server.close())

const operations = () =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      name: `${method.toUpperCase()} ${path}`,
      operation,
    })),
  )

const resolved = (answer: Answer): Answer =>
  document.components.responses[answer.$ref?.split('/').at(-1) ?? ''] ?? answer

const answersOf = (wanted: string) =>
  operations().flatMap(({ name, operation }) =>
    name === wanted ? Object.values(operation.responses).map(resolved) : [],
  )

interface ProblemOf {
  readonly allOf?: readonly { readonly properties?: { readonly code?: { readonly enum: string[] } } }[]
}

/** The codes that an answer may have. */
const codesOf = ({ content }: Answer): readonly string[] => {
  const { allOf = [] } = (content?.['application/problem+json']?.schema ?? {}) as ProblemOf
  return allOf.flatMap(({ properties }) => properties?.code?.enum ?? [])
}

describe('the document', () => {
  test('is valid OpenAPI 3.1', async () => {
    expect(document.openapi).toMatch(/^3\.1\./)
    expect(await new Validator().validate(structuredClone(document) as never)).toEqual({ valid: true })
  })

  test('has every route, and no other', () => {
    const there = routes
      .filter(({ method, path }) => !['HEAD', 'OPTIONS'].includes(method) && !/^\/docs(?:\/|$)/.test(path))
      .map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, '{$1}')}`)
    expect(there.length).toBeGreaterThan(40)
    expect(
      operations()
        .map(({ name }) => name)
        .toSorted(),
    ).toEqual([...new Set(there)].toSorted())
  })

  test('describes each operation under a unique name', () => {
    const names = operations().map(({ operation }) => operation.operationId)
    expect(new Set(names).size).toBe(names.length)
    const silent = operations().filter(
      ({ operation }) => !(operation.summary && operation.description && operation.tags.length > 0),
    )
    expect(silent.map(({ name }) => name)).toEqual([])
    const tags = new Set(operations().flatMap(({ operation }) => operation.tags))
    expect(document.tags.map(({ name }) => name).toSorted()).toEqual([...tags].toSorted())
    expect(document.tags.filter(({ description }) => !/^[A-Z].*\.$/.test(description))).toEqual([])
  })

  test('describes the successful answer of each operation', () => {
    const vague = operations().filter(({ operation }) => {
      const all = Object.entries(operation.responses).map(
        ([status, answer]) => [status, resolved(answer)] as const,
      )
      const good = all.filter(([status]) => /^2/.test(status))
      const empty = good.filter(([status, { content }]) => status !== '204' && content === undefined)
      return good.length === 0 || empty.length > 0 || JSON.stringify(good).includes('Default Response')
    })
    expect(vague.map(({ name }) => name)).toEqual([])
  })

  test('names every error code, and lists the codes that the source throws in the answers of a route', () => {
    const problem = document.components.schemas.Problem as { properties: { code: { enum: string[] } } }
    const codes = Object.keys(ERROR_TABLE).toSorted()
    expect(problem.properties.code.enum.toSorted()).toEqual(codes)
    const answered = Object.values(document.components.responses).flatMap(codesOf)
    expect(Object.keys(document.components.examples).toSorted()).toEqual([...new Set(answered)].toSorted())
    expect(thrownCodes().filter((code) => !answered.includes(code))).toEqual([])
  })

  test('has no reference without a target', () => {
    const refs = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/(\w+)\/([^"]+)"/g)]
    expect(refs.length).toBeGreaterThan(500)
    const lost = refs.filter(([, kind = '', name = '']) => {
      return !(document.components as Record<string, Record<string, object>>)[kind]?.[name]
    })
    expect(lost.map(([ref]) => ref)).toEqual([])
  })

  test('has no unused part', () => {
    const text = JSON.stringify(document)
    const { securitySchemes: _schemes, ...components } = document.components
    const unused = Object.entries(components).flatMap(([kind, parts]) =>
      Object.keys(parts).filter((name) => !text.includes(`"#/components/${kind}/${name}"`)),
    )
    expect(unused).toEqual([])
  })

  test('defines each refusal and each shared parameter once', () => {
    const refusals = operations().flatMap(({ operation }) =>
      Object.values(operation.responses).filter(({ content = {} }) => 'application/problem+json' in content),
    )
    expect(refusals).toEqual([])
    const written = operations().flatMap(({ operation: { parameters = [] } }) =>
      parameters.filter(({ $ref }) => $ref === undefined),
    )
    expect(new Set(written.map((part) => JSON.stringify(part))).size).toBe(written.length)
  })

  test('requires a credential wherever the route does', () => {
    const kinds = new Map(
      routes.map(({ method, path, kind }) => [`${method} ${path.replace(/:(\w+)/g, '{$1}')}`, kind]),
    )
    for (const { name, operation } of operations()) {
      const asked = (operation.security ?? document.security).length
      expect([name, asked > 0]).toEqual([name, kinds.get(name) !== 'open'])
    }
  })

  test('separates the kinds of tenant credentials from each other and from operators', () => {
    const { paths } = document
    const ways = [
      ['tenantToken'],
      ['accountToken'],
      ['accountToken', 'tenantCode'],
      ['externalToken'],
      ['clientKey', 'tenantCode'],
    ]
    const waysOf = (path: string) =>
      (paths[path]?.get?.security ?? document.security).map((way) => Object.keys(way))
    expect(waysOf('/api/v1/users')).toEqual(ways)
    expect(waysOf('/api/v1/audit-log')).toEqual([...ways, ['operatorToken']])
    expect(waysOf('/api/v1/accounts')).toEqual([['operatorToken']])
    expect(Object.keys(document.components.securitySchemes).toSorted()).toEqual(
      [...new Set([...ways.flat(), 'operatorToken'])].toSorted(),
    )
  })

  test.each([
    [
      'POST /api/v1/auth/login',
      ['ACCOUNT_LOCKED', 'INVALID_CREDENTIALS', 'RATE_LIMITED', 'TENANT_AMBIGUOUS'],
    ],
    ['POST /api/v1/auth/accounts/login', ['ACCOUNT_LOCKED', 'CONFLICT', 'RATE_LIMITED']],
    ['POST /api/v1/auth/refresh', ['REFRESH_TOKEN_REUSED', 'RATE_LIMITED']],
    ['POST /api/v1/auth/password', ['ACCOUNT_LOCKED', 'INVALID_CREDENTIALS']],
    ['PATCH /api/v1/users/{id}', ['CONFLICT', 'NOT_FOUND', 'REFERENCE_NOT_FOUND', 'CROSS_TENANT_ACCESS']],
    ['DELETE /api/v1/roles/{id}', ['CONFLICT', 'NOT_FOUND']],
    ['DELETE /api/v1/tenants/{id}/signing-key', ['NOT_FOUND', 'TENANT_NOT_FOUND', 'OPERATOR_REQUIRED']],
    ['PUT /api/v1/accounts/{id}/memberships/{tenantId}', ['CONFLICT', 'NOT_FOUND', 'TENANT_NOT_FOUND']],
  ])('says that %s may answer %j', (name, codes) => {
    const answered = answersOf(name).flatMap(codesOf)
    expect(codes.filter((code) => !answered.includes(code))).toEqual([])
  })

  test('describes rate limits and Retry-After', () => {
    const counted = operations().filter(({ name }) =>
      answersOf(name).some(({ headers = {} }) => 'RateLimit-Remaining' in headers),
    )
    const open = counted.filter(({ operation }) => operation.security?.length === 0)
    expect(open.map(({ name }) => name).toSorted()).toEqual([
      'POST /api/v1/auth/accounts/login',
      'POST /api/v1/auth/login',
      'POST /api/v1/auth/refresh',
    ])
    const silent = Object.entries(document.components.responses).filter(([name, answer]) => {
      const isWaiting = codesOf(answer).some((code) => /RATE_LIMITED|ACCOUNT_LOCKED/.test(code))
      const isProblem = codesOf(answer).length > 0
      return (isWaiting || (isProblem && /^503/.test(name))) && !('Retry-After' in (answer.headers ?? {}))
    })
    expect(silent.map(([name]) => name)).toEqual([])
  })

  test('has examples that match its own schemas', () => {
    const ajv = new Ajv2020({ strict: false, allErrors: true })
    addFormats.default(ajv)
    ajv.addSchema({ $id: 'api', components: document.components })
    const shown = [...Object.entries(document.components.schemas), ...parameterSchemas()].flatMap(
      ([name, schema]) => examplesIn(schema, name),
    )
    const wrong = shown
      .filter(({ schema, example }) => !ajv.validate(absolute(schema), example))
      .map(({ name, example }) => `${name}: ${JSON.stringify(example)}`)
    expect(wrong).toEqual([])
    expect(shown.length).toBeGreaterThan(150)
  })
})

interface Shape {
  readonly examples?: readonly unknown[]
  readonly properties?: Readonly<Record<string, Shape>>
  readonly items?: Shape
}

/** The examples of a schema and of its parts. */
function examplesIn(schema: Shape, name: string): { name: string; schema: object; example: unknown }[] {
  const { examples = [], properties = {}, items } = schema
  return [
    ...examples.map((example) => ({ name, schema, example })),
    ...Object.entries(properties).flatMap(([field, part]) => examplesIn(part, `${name}.${field}`)),
    ...(items === undefined ? [] : examplesIn(items, `${name}[]`)),
  ]
}

function parameterSchemas(): [string, Shape][] {
  const shared = Object.values(document.components.parameters)
  const own = operations().flatMap(({ operation: { parameters = [] } }) => parameters)
  return ([...shared, ...own] as { name?: string; schema?: object; example?: unknown }[]).flatMap(
    ({ name = '', schema, example }) =>
      schema === undefined || example === undefined ? [] : [[name, { ...schema, examples: [example] }]],
  )
}

describe('the page', () => {
  test.each(['/docs', '/docs/static/swagger-initializer.js'])(
    '%s is served, with a content security policy under which it works',
    async (url) => {
      const { statusCode, headers } = await server.inject(url)
      expect(statusCode).toBe(200)
      expect(headers['content-security-policy']).toMatch(/default-src 'none';.* script-src 'self'/)
    },
  )

  test('runs no script from its own text', async () => {
    const { body } = await server.inject('/docs')
    const scripts = [...body.matchAll(/<script([^>]*)>([^<]*)<\/script>/g)]
    expect(scripts.length).toBeGreaterThan(0)
    expect(
      scripts.filter(([, attributes = '', text = '']) => !attributes.includes('src=') || text.trim() !== ''),
    ).toEqual([])
  })

  test('leaves the strict policy on everything else', async () => {
    for (const url of ['/openapi.json', '/livez', '/api/v1/places', '/docsx']) {
      const { headers } = await server.inject(url)
      expect(headers['content-security-policy']).toBe("default-src 'none'; frame-ancestors 'none'")
    }
  })
})

/** References in a schema point into the document. A schema outside of it needs the document's id. */
function absolute(schema: object): object {
  return JSON.parse(JSON.stringify(schema).replaceAll('"#/components', '"api#/components')) as object
}

function thrownCodes(): string[] {
  const src = join(import.meta.dirname, '../../src')
  const texts = readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => readFileSync(join(src, path), 'utf8'))
  return [
    ...new Set(
      texts.flatMap((text) => [...text.matchAll(/\bfail\('([A-Z_]+)'/g)].map(([, code = '']) => code)),
    ),
  ]
}
