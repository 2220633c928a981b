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
  readonly tags: readonly string[]
  readonly security: readonly object[]
  readonly parameters?: readonly { in?: string; name?: string; $ref?: string }[]
  readonly requestBody?: { readonly content: Record<string, Media> }
  readonly responses: Record<string, { $ref?: string; headers?: object; content?: Record<string, Media> }>
}

interface Media {
  readonly schema: object
  readonly example?: unknown
}

interface Document {
  readonly openapi: string
  readonly paths: Record<string, Record<string, Operation>>
  readonly components: Record<
    'schemas' | 'responses' | 'examples' | 'parameters' | 'securitySchemes',
    Record<string, object>
  >
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

const answersOf = (wanted: string) =>
  operations().flatMap(({ name, operation }) => (name === wanted ? Object.values(operation.responses) : []))

describe('the document', () => {
  test('is valid OpenAPI 3.1', async () => {
    expect(document.openapi).toMatch(/^3\.1\./)
    expect(await new Validator().validate(structuredClone(document) as never)).toEqual({ valid: true })
  })

  test('has every route there is, and no other', () => {
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

  test('says of each what it is for, under a name of its own', () => {
    const names = operations().map(({ operation }) => operation.operationId)
    expect(new Set(names).size).toBe(names.length)
    const silent = operations().filter(({ operation }) => !(operation.summary && operation.tags.length > 0))
    expect(silent.map(({ name }) => name)).toEqual([])
  })

  test('says of each what it answers when all is well', () => {
    const vague = operations().filter(({ operation }) => {
      const good = Object.entries(operation.responses).filter(([status]) => /^2/.test(status))
      const empty = good.filter(([status, { content }]) => status !== '204' && content === undefined)
      return good.length === 0 || empty.length > 0 || JSON.stringify(good).includes('Default Response')
    })
    expect(vague.map(({ name }) => name)).toEqual([])
  })

  test('names every code of the table, and those that the source throws among the answers of a route', () => {
    const problem = document.components.schemas.Problem as { properties: { code: { enum: string[] } } }
    const codes = Object.keys(ERROR_TABLE).toSorted()
    expect(problem.properties.code.enum.toSorted()).toEqual(codes)
    expect(Object.keys(document.components.examples).toSorted()).toEqual(codes)
    const answered = Object.keys(document.components.responses).flatMap((name) => name.split('.'))
    expect(thrownCodes().filter((code) => !answered.includes(code))).toEqual([])
  })

  test('refers to nothing that is not there', () => {
    const refs = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/(\w+)\/([^"]+)"/g)]
    expect(refs.length).toBeGreaterThan(500)
    const lost = refs.filter(([, kind = '', name = '']) => {
      return !(document.components as Record<string, Record<string, object>>)[kind]?.[name]
    })
    expect(lost.map(([ref]) => ref)).toEqual([])
  })

  test('asks for a credential wherever the route does', () => {
    const kinds = new Map(
      routes.map(({ method, path, kind }) => [`${method} ${path.replace(/:(\w+)/g, '{$1}')}`, kind]),
    )
    for (const { name, operation } of operations()) {
      const asked = operation.security.length
      expect([name, asked > 0]).toEqual([name, kinds.get(name) !== 'open'])
    }
  })

  test('tells each way in to a tenant from the others, and operators from all of them', () => {
    const { paths } = document
    const ways = [
      ['tenantToken'],
      ['accountToken'],
      ['accountToken', 'tenantCode'],
      ['externalToken'],
      ['clientKey', 'tenantCode'],
    ]
    const waysOf = (path: string) => paths[path]?.get?.security.map((way) => Object.keys(way))
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
    const answered = answersOf(name).flatMap(({ $ref = '' }) => $ref.split('.'))
    expect(codes.filter((code) => !answered.includes(code))).toEqual([])
  })

  test('says where requests are counted, and where to wait', () => {
    const counted = operations().filter(({ name }) =>
      answersOf(name).some(({ headers = {} }) => 'RateLimit-Remaining' in headers),
    )
    const open = counted.filter(({ operation }) => operation.security.length === 0)
    expect(open.map(({ name }) => name).toSorted()).toEqual([
      'POST /api/v1/auth/accounts/login',
      'POST /api/v1/auth/login',
      'POST /api/v1/auth/refresh',
    ])
    const responses = Object.entries(document.components.responses) as [string, { headers: object }][]
    const silent = responses.filter(
      ([name, { headers }]) => /RATE_LIMITED|ACCOUNT_LOCKED|^503/.test(name) && !('Retry-After' in headers),
    )
    expect(silent.map(([name]) => name)).toEqual([])
  })

  test('shows examples that its own schemas take', () => {
    const ajv = new Ajv2020({ strict: false, allErrors: true })
    addFormats.default(ajv)
    ajv.addSchema({ $id: 'api', components: document.components })
    const medias = operations().flatMap(({ name, operation }) => {
      const contents = [
        operation.requestBody?.content,
        ...Object.values(operation.responses).map(({ content }) => content),
      ]
      return contents.flatMap((content) => Object.values(content ?? {})).map((media) => ({ name, media }))
    })
    const wrong = medias
      .filter(({ media }) => 'example' in media)
      .filter(({ media }) => !ajv.validate(absolute(media.schema), media.example))
      .map(({ name, media }) => `${name}: ${JSON.stringify(media.example)}`)
    expect(wrong).toEqual([])
    expect(medias.filter(({ media }) => 'example' in media).length).toBeGreaterThan(80)
  })
})

describe('the page', () => {
  test.each(['/docs', '/docs/static/swagger-initializer.js'])(
    '%s is there, with a policy under which it works',
    async (url) => {
      const { statusCode, headers } = await server.inject(url)
      expect(statusCode).toBe(200)
      expect(headers['content-security-policy']).toMatch(/default-src 'none';.* script-src 'self'/)
    },
  )

  test('runs no script that stands in its text', async () => {
    const { body } = await server.inject('/docs')
    const scripts = [...body.matchAll(/<script([^>]*)>([^<]*)<\/script>/g)]
    expect(scripts.length).toBeGreaterThan(0)
    expect(
      scripts.filter(([, attributes = '', text = '']) => !attributes.includes('src=') || text.trim() !== ''),
    ).toEqual([])
  })

  test('leaves the strict policy to everything else', async () => {
    for (const url of ['/openapi.json', '/livez', '/api/v1/places', '/docsx']) {
      const { headers } = await server.inject(url)
      expect(headers['content-security-policy']).toBe("default-src 'none'; frame-ancestors 'none'")
    }
  })
})

/** Schemas refer to the document they stand in; on its own, one needs to say which. */
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
