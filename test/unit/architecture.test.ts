import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { mayImport } from '../support/floors.ts'

const MAX_LINES = 300
const MAX_FILES = 16

interface Import {
  readonly from: string
  /** As written. */
  readonly specifier: string
  /** Path below src, for a file of ours. */
  readonly to: string | null
  /** True for `import type` and `export type`, which do nothing at run time. */
  readonly typeOnly: boolean
}

const src = fileURLToPath(new URL('../../src', import.meta.url))
const files: readonly string[] = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .map((path) => path.replaceAll('\\', '/'))
  .filter((path) => path.endsWith('.ts'))
  .sort()
const textOf = new Map(files.map((path) => [path, readFileSync(join(src, path), 'utf8')]))
const codeOf = new Map([...textOf].map(([path, text]) => [path, withoutComments(text)]))
const imports = files.flatMap(importsOf)

/** Keeps strings, so that `//` in a URL does not hide the rest of a line. */
function withoutComments(text: string): string {
  return text.replace(
    /('(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`)|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g,
    (_, string: string | undefined) => string ?? ' ',
  )
}

function importsOf(from: string): Import[] {
  const statement =
    /^[ \t]*(?:import|export)\s+(type\s+)?(?:[\w*$,{}\s]+?\s+from\s+)?['"]([^'"\n]+)['"]|\bimport\(\s*['"]([^'"\n]+)['"]/gm
  return [...(codeOf.get(from) ?? '').matchAll(statement)].map(([, type, direct, dynamic]) => {
    const specifier = direct ?? dynamic ?? ''
    const to = specifier.startsWith('.') ? join(dirname(from), specifier).replaceAll('\\', '/') : null
    return { from, specifier, to, typeOnly: type !== undefined }
  })
}

/** `catalog/store.ts` → catalog; `errors.ts` → errors. */
function layerOf(path: string): string {
  return path.split('/')[0]?.replace(/\.ts$/, '') ?? path
}

function filesWith(pattern: RegExp): string[] {
  return files.filter((path) => pattern.test(codeOf.get(path) ?? ''))
}

describe('who may import whom', () => {
  test('every folder of src has a line in the table', () => {
    const unknown = [...new Set(files.map(layerOf))].filter((layer) => mayImport[layer] === undefined)
    expect(unknown, 'add a line to mayImport that says what it may import').toEqual([])
  })

  test('the table has no cycles', () => {
    const layers = new Map(Object.entries(mayImport).map(([layer, allowed]) => [layer, allowed]))
    expect(cyclesIn(new Map([...layers].map(([l, to]) => [l, to.filter((other) => other !== l)])))).toEqual(
      [],
    )
  })

  test('every import points to a lower layer', () => {
    const wrong = imports
      .filter(({ to }) => to !== null)
      .filter(({ from, to }) => !isAllowed(layerOf(from), layerOf(to ?? '')))
      .map(({ from, to }) => `${from} imports ${to}: ${layerOf(from)} may not know ${layerOf(to ?? '')}`)
    expect(wrong, 'move what is shared to a lower layer, or hand it in from gateway.ts').toEqual([])
  })

  test('http is imported only by the gateway and its tests', () => {
    const wrong = imports
      .filter(({ to }) => to !== null && layerOf(to) === 'http')
      .filter(({ from }) => !['http', 'gateway', 'testing'].includes(layerOf(from)))
    expect(wrong.map(({ from, to }) => `${from} imports ${to}`)).toEqual([])
  })

  test('the tables of a tenant database import drizzle alone', () => {
    const tables = ['columns', 'isolation', 'policies', 'tables'].map((name) => `residence/${name}.ts`)
    const wrong = imports.filter(
      ({ from, to, specifier }) =>
        tables.includes(from) && to === null && !/^drizzle-orm(?:\/|$)/.test(specifier),
    )
    expect(wrong.map(({ from, specifier }) => `${from} imports ${specifier}`)).toEqual([])
  })

  test('every relative import names an existing file', () => {
    const wrong = imports.filter(({ to }) => to?.endsWith('.ts') && !files.includes(to))
    expect(wrong.map(({ from, to }) => `${from} imports ${to}`)).toEqual([])
  })

  // Types count too: files that can be understood only together are one file.
  test('no file imports itself through other files', () => {
    const graph = new Map<string, string[]>(files.map((path) => [path, []]))
    for (const { from, to } of imports) if (to !== null) graph.get(from)?.push(to)
    expect(cyclesIn(graph)).toEqual([])
  })
})

function isAllowed(from: string, to: string): boolean {
  return from === to || mayImport[from]?.includes(to) === true
}

/** The cycles of a graph, each as `a → b → a`, found by walking depth first. */
function cyclesIn(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const done = new Set<string>()
  const found: string[] = []
  const walk = (node: string, path: readonly string[]) => {
    const at = path.indexOf(node)
    if (at !== -1) found.push([...path.slice(at), node].join(' → '))
    if (at !== -1 || done.has(node)) return
    for (const next of graph.get(node) ?? []) walk(next, [...path, node])
    done.add(node)
  }
  for (const node of graph.keys()) walk(node, [])
  return found
}

describe('what a folder shows to others', () => {
  test('types that cross folders are written and not inferred from a function', () => {
    const wrong = files.flatMap((path) => {
      const code = codeOf.get(path) ?? ''
      const inferred = [...code.matchAll(/\bReturnType<\s*typeof\s+(\w+)/g)].map(([, name = '']) => name)
      return inferred.filter((name) => isFromOtherFolder(path, name)).map((name) => `${path}: ${name}`)
    })
    expect(wrong, 'give the function a named type of what it returns').toEqual([])
  })
})

/** Whether a file imports a name from a file of ours in another folder. */
function isFromOtherFolder(path: string, name: string): boolean {
  const clause = new RegExp(`import\\s[^'"]*\\b${name}\\b[^'"]*from\\s*['"](\\.[^'"]+)['"]`)
  const specifier = clause.exec(codeOf.get(path) ?? '')?.[1]
  return specifier !== undefined && dirname(join(dirname(path), specifier)) !== dirname(path)
}

describe('what only one file may do', () => {
  test('only lib/postgres makes clients and pools', () => {
    // postmaster.ts logs in once to check whether a server that it started is ready, before any policy exists.
    const mayUsePg = [
      'lib/postgres/guarded-client.ts',
      'lib/postgres/pg.ts',
      'lib/wire/send-command.ts',
      'embedded/postmaster.ts',
      'pools/wire/tenant-unit.ts',
    ]
    const wrong = imports
      .filter(({ specifier, typeOnly }) => !typeOnly && /^pg(?:-pool|-native)?(?:\/|$)/.test(specifier))
      .filter(({ from }) => !mayUsePg.includes(from))
      .map(({ from, specifier }) => `${from} imports ${specifier}`)
    expect(wrong, 'use connectClient or createPool of lib/postgres/pg.ts, or `import type`').toEqual([])
  })

  test('the tenant unit uses no client and no pool of pg', () => {
    const used = [
      ...(codeOf.get('pools/wire/tenant-unit.ts') ?? '').matchAll(/\b(new\s+)?pg\.(Client|Pool)\b/g),
    ]
    expect(used.map(([text]) => text)).toEqual([])
  })

  // A session must not be able to open a database connection from a text.
  test('drizzle gets a client, never a connection string', () => {
    expect(filesWith(/\bdrizzle\(\s*(?:\{[^}]*\bconnection\b\s*:|['"`])/)).toEqual([])
  })

  test('statements run through a session, never through the client inside drizzle', () => {
    expect(filesWith(/\.\$client\b|\{\s*\$client\b/)).toEqual([])
  })

  test('only config.ts reads the environment', () => {
    const reads =
      /\bprocess\s*(?:\?\.|\.)\s*env\b|\bprocess\s*\[\s*['"]env['"]|\{[^}]*\benv\b[^}]*\}\s*(?:=\s*process\b|from\s*['"](?:node:)?process['"])/
    const wrong = filesWith(reads).filter((path) => path !== 'config.ts')
    expect(wrong, 'read it in config.ts and hand the value down').toEqual([])
  })

  test("only catalog/databases/credentials.ts opens a database's credential", () => {
    // keyring.ts lists the purposes there are.
    const wrong = filesWith(/database-credential/).filter((path) => path !== 'crypto/keyring.ts')
    expect(wrong).toEqual(['catalog/databases/credentials.ts'])
  })
})

describe('the line between the core and an application', () => {
  // The words are tables of the reference application. The lease of a job is not the lease of a flat.
  const names =
    /\b(?:places|estates|lessees|charges|equipment|media_chunks|credit_balances)\b|["'/]leases["'/]/

  test('the core names nothing of the reference application', () => {
    const core = files.filter((path) => layerOf(path) !== 'applications')
    expect(core.filter((path) => names.test(textOf.get(path) ?? ''))).toEqual([])
  })

  test("the core's migrations name nothing of the reference application", () => {
    const folder = join(src, '../tenant-migrations/core')
    const found = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) =>
      /\.(?:sql|json)$/.test(path),
    )
    expect(found.length).toBeGreaterThan(2)
    expect(found.filter((path) => names.test(readFileSync(join(folder, path), 'utf8')))).toEqual([])
  })

  test('an application imports only the public entry file of the core', () => {
    const wrong = imports.filter(
      ({ from, to }) =>
        layerOf(from) === 'applications' && to !== null && !/^applications\/|^index\.ts$/.test(to),
    )
    expect(wrong.map(({ from, to }) => `${from} imports ${to}`)).toEqual([])
  })
})

describe('the shape of files', () => {
  test('named exports only', () => {
    expect(filesWith(/^\s*export\s+default\b|\bas\s+default\b/m)).toEqual([])
  })

  test(`no file has more than ${MAX_LINES} lines`, () => {
    const long = files
      .map((path) => ({ path, lines: (textOf.get(path) ?? '').trimEnd().split('\n').length }))
      .filter(({ lines }) => lines > MAX_LINES)
    expect(
      long.map(({ path, lines }) => `${path}: ${lines}`),
      'a file has one idea; split it',
    ).toEqual([])
  })

  test(`no folder has more than ${MAX_FILES} files`, () => {
    const counts = new Map<string, number>()
    for (const path of files) counts.set(dirname(path), (counts.get(dirname(path)) ?? 0) + 1)
    const full = [...counts].filter(([, count]) => count > MAX_FILES)
    expect(full, 'past that a folder has two ideas').toEqual([])
  })

  test('folders are at most three deep, and names are in kebab-case', () => {
    expect(files.filter((path) => path.split('/').length > 4)).toEqual([])
    expect(
      files.filter((path) => !/^(?:[a-z0-9]+(?:-[a-z0-9]+)*\/)*[a-z0-9]+(?:-[a-z0-9]+)*\.ts$/.test(path)),
    ).toEqual([])
  })
})

// The tests above prove something only if this test finds all imports.
test.each([
  ["import { a } from './x.ts'", './x.ts', false],
  ["import type { a } from './x.ts'", './x.ts', true],
  ["import {\n  a,\n  type B,\n} from './x.ts'", './x.ts', false],
  ["import a, { b as c } from './x.ts'", './x.ts', false],
  ["import * as a from './x.ts'", './x.ts', false],
  ["import './x.ts'", './x.ts', false],
  ["export * from './x.ts'", './x.ts', false],
  ["export type { A } from './x.ts'", './x.ts', true],
  ["const a = await import('./x.ts')", './x.ts', false],
])('the test finds the import in %j', (text, specifier, typeOnly) => {
  const path = 'probe.ts'
  codeOf.set(path, withoutComments(`// import { no } from './no.ts'\n${text}\n/* import './no.ts' */`))
  expect(importsOf(path)).toEqual([{ from: path, specifier, to: 'x.ts', typeOnly }])
  codeOf.delete(path)
})
