import { globSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { RESOURCES } from '../../src/applications/property/resources.ts'
import { DATABASE_ERRORS } from '../../src/catalog/databases/entry.ts'
import type { Method } from '../../src/collections/define-resource.ts'
import { ERROR_TABLE } from '../../src/errors.ts'
import { parseTrustedIssuers } from '../../src/identity/tokens/external-settings.ts'
import { ISSUER_SHAPES } from '../http/issuer-shapes.ts'
import { arrowsOf, mayImport } from '../support/floors.ts'
import { callsIn, logCallsIn } from '../support/log-calls.ts'
import { makeServer } from './http/fakes.ts'

/** Compares the reference with the code, so that neither changes alone. */
const ROOT = resolve(import.meta.dirname, '../..')
const read = (path: string) => readFileSync(resolve(ROOT, path), 'utf8')
const source = (pattern: string) =>
  globSync(pattern, { cwd: ROOT })
    .map((path) => read(path))
    .join('\n')
const found = (text: string, pattern: RegExp) =>
  [...new Set([...text.matchAll(pattern)].map(([, name = '']) => name))].toSorted()

/** The rows of a page's tables, cell by cell, without code marks. */
function rowsOf(page: string, folder = 'reference'): string[][] {
  const lines = read(`docs/${folder}/${page}.md`)
    .split('\n')
    .filter((line) => line.startsWith('| '))
  return lines.map((line) =>
    line
      .slice(1, -1)
      .split(/(?<!\\)\|/)
      .map((cell) => cell.replaceAll('`', '').trim()),
  )
}
const firstCells = (page: string, form: RegExp) =>
  rowsOf(page)
    .map(([cell = '']) => cell)
    .filter((cell) => form.test(cell))

/** Codes whose Retry-After depends on the case. */
const BY_CASE: Record<string, string> = {
  ACCOUNT_LOCKED: 'what is left',
  RATE_LIMITED: '1, or what is left',
}

describe('docs/reference/errors.md', () => {
  test('has every code with its status, title and Retry-After, and no other', () => {
    const documented = rowsOf('errors')
      .filter(([status = '']) => /^[45]\d\d$/.test(status))
      .map(([status, code, title, , retryAfter]) => `${status} ${code} | ${title} | ${retryAfter}`)
    const table = Object.entries(ERROR_TABLE).map(([code, { status, title, retryAfterSeconds }]) => {
      return `${status} ${code} | ${title} | ${BY_CASE[code] ?? retryAfterSeconds ?? '–'}`
    })
    expect(documented.toSorted(), 'left: docs/reference/errors.md, right: src/errors.ts').toEqual(
      table.toSorted(),
    )
  })

  test('has every code of a database that is not valid with its message, and no other', () => {
    const documented = rowsOf('errors')
      .filter(([code = '']) => /^[A-Z][A-Z_]+$/.test(code))
      .map(([code, message]) => `${code} | ${message}`)
    const table = Object.entries(DATABASE_ERRORS).map(([code, message]) => `${code} | ${message}`)
    expect(
      documented.toSorted(),
      'left: docs/reference/errors.md, right: src/catalog/databases/entry.ts',
    ).toEqual(table.toSorted())
  })
})

describe('docs/reference/settings.md', () => {
  const config = read('src/config.ts')

  test('has every setting, and no other', () => {
    const settings = found(config, /\benv\.\w+\(\s*'([A-Z_]+)'/g)
    expect(firstCells('settings', /^[A-Z][A-Z_]+$/).toSorted()).toEqual(settings)
  })

  test('has the default and the bounds of every number', () => {
    const numbers = [
      ...config.matchAll(/env\.integer\('(\w+)', ([\d_]+), \{ min: ([\d_]+), max: ([\d_]+) \}\)/g),
    ]
    expect(numbers.length).toBeGreaterThan(5)
    for (const [, name, ...rest] of numbers) {
      const [usual, least, most] = rest.map((digits) => digits.replaceAll('_', ''))
      const row = rowsOf('settings').find(([cell]) => cell === name)
      expect(row?.slice(1, 3), name).toEqual([usual, `${least}–${most}`])
    }
  })
})

describe('docs/how-to/use-an-identity-provider.md', () => {
  const [head = [], ...rows] = rowsOf('use-an-identity-provider', 'how-to')
  const DEFAULTS: Record<string, string> = { audienceClaim: 'aud', tenantBy: 'code', subjectClaim: 'sub' }

  test('has a row for each provider whose tokens are tested, and no other', () => {
    const tested = ISSUER_SHAPES.flatMap(({ provider }) => provider ?? [])
    expect(rows.map(([provider]) => provider).toSorted()).toEqual([...new Set(tested)].toSorted())
  })

  test.each(rows)('has the tested settings for %s', (provider, ...cells) => {
    const entry = ISSUER_SHAPES.find((shape) => shape.provider === provider)?.entry
    const fields = head.slice(1, -1)
    const tested = fields.map((field) => entry?.[field] ?? DEFAULTS[field] ?? '–')
    expect(cells.slice(0, fields.length)).toEqual(tested)
  })
})

describe('the examples of TRUSTED_ISSUERS', () => {
  const pages = ['reference/settings', 'how-to/name-a-tenant', 'how-to/use-an-identity-provider']
  test.each(pages.map((page) => `docs/${page}.md`))('of %s are accepted', (page) => {
    const [, example = ''] = /```json\n(\[\{\s*"issuer"[\s\S]*?)```/.exec(read(page)) ?? []
    expect(parseTrustedIssuers(example)).toHaveLength(1)
  })
})

test('docs/reference/metrics.md has every metric of ours, and no other', () => {
  const metrics = found(read('src/metrics.ts'), /'(freehold_\w+)'/g)
  expect(firstCells('metrics', /^freehold_/).toSorted()).toEqual(metrics)
})

test('docs/reference/audit.md has every action, and no other', () => {
  const actions = found(source('src/**/*.ts'), /\b(?:action(?::| =) |note\()'([a-z-]+\.[a-z.-]+)'/g)
  const documented = firstCells('audit', /^[a-z-]+\.[a-z.-]+/).map((cell) => cell.replace(/ [†‡]$/, ''))
  expect(documented.toSorted()).toEqual(actions)
})

describe('docs/reference/logs.md', () => {
  const { messages, unread } = logCallsIn(ROOT)
  const rows = [...read('docs/reference/logs.md').matchAll(/^\|([^|]*)\|([^|]*)\|/gm)]
  const documented = rows.flatMap(([, names = '', level = '']) =>
    [...names.matchAll(/`([^`]+)`/g)].map(([, message = '']) => ({ message, level })),
  )

  test('can be compared: the message of every call is found in the code', () => {
    expect(messages.length).toBeGreaterThan(60)
    expect(unread).toEqual([])
  })

  test('has every message that the code logs, with its level', () => {
    const missing = messages.filter(
      ({ message, level }) =>
        !documented.some((row) => row.message === message && row.level.includes(level ?? '')),
    )
    const lines = missing.map(({ message, level, at }) => `| \`${message}\` | ${level ?? '…'} | (${at}) |`)
    expect(lines, 'add these lines to docs/reference/logs.md').toEqual([])
  })

  test('has no message that the code does not log', () => {
    const logged = new Set(messages.map(({ message }) => message))
    const gone = documented.filter(({ message }) => message !== 'msg' && !logged.has(message))
    expect(
      gone.map(({ message }) => message),
      'take these lines out of docs/reference/logs.md',
    ).toEqual([])
  })

  test.each([
    ["log.warn({ a: f(1, ')'), b }, 'one, two')", 'warn', ['one, two']],
    ['this.#log?.info(\n  fields,\n  "it\'s",\n)', 'info', ["it's"]],
    ["request.log[logAs]({ x: [1, 2] }, 'three')", null, ['three']],
  ])('a call is read: %j', (text, level, found) => {
    expect(callsIn(text).map((call) => [call.level, [call.argument.slice(1, -1)]])).toEqual([[level, found]])
  })
})

test('docs/explanation/architecture.md draws the floors as they are', () => {
  const [, picture = ''] = /```mermaid\n([\s\S]*?)```/.exec(read('docs/explanation/architecture.md')) ?? []
  const drawn = picture.split('\n').filter((line) => line.includes('-->'))
  expect(
    drawn.map((line) => line.trim()).toSorted(),
    'left: the picture, right: test/support/floors.ts',
  ).toEqual(arrowsOf(mayImport))
})

const VERBS: Readonly<Record<string, Method>> = { POST: 'create', PATCH: 'update', DELETE: 'remove' }

/** The routes that a path with `{collection}` stands for. A declaration may exclude some. */
function collectionsWith(method: string, path: string): string[] {
  if (!path.startsWith('/{collection}')) return ['']
  const verb = VERBS[method]
  const has = RESOURCES.filter(({ methods }) => verb === undefined || methods.includes(verb))
  return has.map(({ name }) => name)
}

describe('the collections of docs/reference/tenant-api.md', () => {
  const rows = new Map(rowsOf('tenant-api').map(([path = '', ...cells]) => [path, cells]))

  test.each(RESOURCES)(
    '/$name has its permission, fields, filters and orders, and no other',
    ({ name, permission, methods, schemas }) => {
      const [resource, fields = '', filters = '', sorts = ''] = rows.get(`/${name}`) ?? []
      const words = (cell: string) => cell.match(/[A-Za-z]\w*/g) ?? []
      const { limit, cursor, sort, ...filterable } = schemas.listQuery.properties
      expect(resource).toBe(permission)
      expect(words(filters)).toEqual(Object.keys(filterable))
      expect(words(sorts)).toEqual(
        (sort as unknown as { enum: string[] }).enum.filter((key) => !key.startsWith('-')),
      )
      const own = Object.keys(schemas.row.properties).filter(
        (field) => !/^(?:id|createdAt|updatedAt)$/.test(field),
      )
      expect(words(fields)).toEqual(expect.arrayContaining(own))
      const bold = [...fields.matchAll(/\*\*(\w+)\*\*/g)].map(([, field]) => field)
      expect(bold).toEqual(methods.includes('create') ? (schemas.create.required ?? []) : [])
    },
  )
})

describe('the pages about the API', () => {
  const routes = new Set<string>()
  beforeAll(async () => {
    // The hook is set before the routes, which are registered when the server becomes ready.
    const server = makeServer({}, (app) =>
      app.addHook('onRoute', ({ method, url }) => {
        // Every path has HEAD and OPTIONS, and paths below the page belong to the page.
        const isOwn = !url.startsWith('/docs/')
        for (const one of [method].flat()) {
          if (isOwn && one !== 'HEAD' && one !== 'OPTIONS') routes.add(`${one} ${url}`)
        }
      }),
    )
    await server.ready()
    await server.close()
  })

  const calls = ['operator-api', 'tenant-api'].flatMap((page) =>
    [...read(`docs/reference/${page}.md`).matchAll(/`(GET|POST|PUT|PATCH|DELETE) (\/[^`\s]*)`/g)].flatMap(
      ([, method = '', path = '']) =>
        collectionsWith(method, path).map((name) => ({ method, path: path.replace('{collection}', name) })),
    ),
  )
  const urlOf = (path: string) => {
    const url = path.replaceAll(/\{(\w+)\}/g, ':$1')
    return /^\/(?:\.well-known\/|openapi\.json$|docs$)/.test(url) ? url : `/api/v1${url}`
  }

  const PROBES = ['GET /livez', 'GET /readyz', 'GET /health', 'GET /metrics']

  test('have every route, and no other', () => {
    const documented = calls.map(({ method, path }) => `${method} ${urlOf(path)}`)
    expect([...new Set([...documented, ...PROBES])].toSorted()).toEqual([...routes].toSorted())
  })
})
