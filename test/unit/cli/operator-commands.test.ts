import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { type ApiCommand, argumentsOf, parametersOf, wordsOf } from '../../../src/cli/calls/command.ts'
import { optionsOf } from '../../../src/cli/calls/register.ts'
import { API_COMMANDS } from '../../../src/cli/calls/table.ts'
import { runCommandLine } from '../../../src/cli/command-line.ts'
import { makeServer } from '../http/fakes.ts'

interface Schema {
  readonly $ref?: string
  readonly anyOf?: readonly Schema[]
  readonly properties?: Record<string, Schema>
  readonly required?: readonly string[]
}
interface Parameter {
  readonly in?: string
  readonly name?: string
  readonly $ref?: string
}
interface Operation {
  readonly parameters?: readonly Parameter[]
  readonly requestBody?: { readonly content: Record<string, { readonly schema: Schema }> }
}
interface Document {
  readonly paths: Record<string, Record<string, Operation>>
  readonly components: {
    readonly parameters: Record<string, Parameter>
    readonly schemas: Record<string, Schema>
  }
}

const server = makeServer()
const operatorCalls: string[] = []
let document: Document

beforeAll(async () => {
  server.addHook('onRoute', ({ method, url, config }) => {
    const kind = config?.access?.kind
    if (kind !== 'operator' && kind !== 'either') return
    for (const each of [method].flat().filter((name) => name !== 'HEAD'))
      operatorCalls.push(`${each} ${url.replace(/:(\w+)/g, '{$1}')}`)
  })
  await server.ready()
  document = (await server.inject('/openapi.json')).json()
})
afterAll(() => server.close())

const callOf = ({ method, prefix, path }: ApiCommand) => `${method} ${prefix}${path}`
const operationOf = ({ method, prefix, path }: ApiCommand) =>
  document.paths[`${prefix}${path}`]?.[method.toLowerCase()]

describe('the table of commands', () => {
  test('has a command for every call of the operator API, and calls nothing that is not there', () => {
    expect(operatorCalls.length).toBeGreaterThan(45)
    const called = [...new Set(API_COMMANDS.filter(({ prefix }) => prefix !== '').map(callOf))]
    expect(called.toSorted(), 'left: commands, right: the API').toEqual(
      [...new Set(operatorCalls)].toSorted(),
    )
  })

  test('has no name twice, and no flag twice in a command', () => {
    const words = API_COMMANDS.map(wordsOf)
    expect(new Set(words).size).toBe(words.length)
    for (const each of API_COMMANDS) {
      const names = optionsOf(each).map(({ long }) => long)
      expect(new Set(names).size, wordsOf(each)).toBe(names.length)
    }
  })

  test.each(API_COMMANDS.map((each) => [wordsOf(each), each] as const))(
    '%s sends only fields that its call knows, and can send all that it needs',
    (_, each) => {
      const operation = operationOf(each)
      expect(operation, callOf(each)).toBeDefined()
      const sent = [...each.flags.map(({ field }) => field), ...Object.keys(each.fixed ?? {})]
      if (each.argument !== undefined) sent.push(each.argument.field)
      const known = knownFields(operation)
      for (const field of sent) expect(known, field).toContain(field)
      const needed = bodyOf(operation).required ?? []
      const sure = each.flags.flatMap(({ isRequired, field }) => (isRequired === true ? [field] : []))
      expect([...sure, each.argument?.field]).toEqual(
        expect.arrayContaining(needed.filter((field) => !DEFAULTS.includes(field))),
      )
    },
  )

  test('can send every field of every call', () => {
    for (const call of new Set(API_COMMANDS.map(callOf))) {
      const commands = API_COMMANDS.filter((each) => callOf(each) === call)
      const [first] = commands
      if (first === undefined) continue
      const sent = commands.flatMap((each) => [
        ...each.flags.map(({ field }) => field.split('.')[0]),
        each.argument?.field,
        ...(each.columns === undefined ? [] : ['limit', 'cursor']),
      ])
      const missing = knownFields(operationOf(first)).filter(
        (field) => !field.includes('.') && field !== 'databaseType' && !sent.includes(field),
      )
      expect(missing, call).toEqual([])
    }
  })

  test('lists exactly what comes in pages', () => {
    for (const each of API_COMMANDS)
      expect(knownFields(operationOf(each)).includes('cursor'), wordsOf(each)).toBe(
        each.columns !== undefined,
      )
  })

  test('asks before every call that removes something', () => {
    const silent = API_COMMANDS.filter(
      ({ method, question }) => method === 'DELETE' && question === undefined,
    )
    expect(silent.map(wordsOf)).toEqual([])
  })

  test('takes secrets from files only', () => {
    const open = API_COMMANDS.flatMap((each) =>
      each.flags.filter(
        ({ field, kind }) => /password|secret|connectionString/i.test(field) && kind !== 'text-file',
      ),
    )
    expect(open).toEqual([])
  })

  test('names every parameter of a path', () => {
    for (const each of API_COMMANDS) {
      const count = parametersOf(each).length + (each.argument === undefined ? 0 : 1)
      expect(argumentsOf(each)).toHaveLength(count)
    }
  })
})

/** Required by the schema, with a default. */
const OF_DATABASES = ['databaseType', 'poolSize', 'idleTimeoutSeconds', 'applyMigrations', 'adopt']
const DEFAULTS = [...OF_DATABASES, 'capacity', 'ready']

function bodyOf(operation: Operation | undefined): Schema {
  const written = operation?.requestBody?.content['application/json']?.schema ?? {}
  const [first = written] = written.anyOf ?? []
  return document.components.schemas[first.$ref?.split('/').at(-1) ?? ''] ?? first
}

function knownFields(operation: Operation | undefined): string[] {
  const query = (operation?.parameters ?? [])
    .map((given) => document.components.parameters[given.$ref?.split('/').at(-1) ?? ''] ?? given)
    .flatMap((given) => (given.in === 'query' ? [given.name ?? ''] : []))
  const properties = bodyOf(operation).properties ?? {}
  const inner = Object.entries(properties).flatMap(([name, schema]) =>
    Object.keys(schema.properties ?? {}).map((field) => `${name}.${field}`),
  )
  return [...query, ...Object.keys(properties), ...inner]
}

test('docs/reference/cli.md has every command with its arguments and options, and no other', () => {
  const page = readFileSync(new URL('../../../docs/reference/cli.md', import.meta.url), 'utf8')
  const documented = page.split('\n').filter((line) => /^- `freehold /.test(line))
  expect(documented, 'left: docs/reference/cli.md, right: src/cli/calls/table.ts').toEqual(
    API_COMMANDS.map(synopsisOf),
  )
})

const COMMON = ['--url', '--token-file', '--timeout', '--json', '--limit', '--all', '--cursor', '--yes']

/** The line of the page for a command. */
function synopsisOf(declared: ApiCommand): string {
  const options = optionsOf(declared)
    .filter(({ long }) => !COMMON.includes(long ?? ''))
    .map(({ flags, mandatory }) => {
      const shown = flags.replace(/<(.+)>/, (_, name: string) => name.toUpperCase())
      return mandatory ? shown : `[${shown}]`
    })
  const words = [
    'freehold',
    wordsOf(declared),
    ...argumentsOf(declared).map((name) => name.toUpperCase()),
    ...options,
  ]
  return `- \`${words.join(' ')}\`: ${declared.summary}`
}

test('the help fits on a screen of 24 lines and 80 columns, and names every noun', async () => {
  const written: string[] = []
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    written.push(String(chunk))
    return true
  })
  try {
    expect(await runCommandLine(['--help'])).toBe(0)
  } finally {
    write.mockRestore()
  }
  const lines = written.join('').trimEnd().split('\n')
  expect(lines.length).toBeLessThanOrEqual(23)
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80)
  for (const { noun } of API_COMMANDS) expect(lines.join(' ')).toMatch(new RegExp(`\\b${noun}\\b`))
})
