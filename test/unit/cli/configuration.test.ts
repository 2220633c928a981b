import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { checkout } from '../../support/checkout.ts'

const run = promisify(execFile)

/** Files that Node itself must load, not the test runner. The messages must contain plain text only. */
const CASES: readonly { file: string; text: string; told: RegExp }[] = [
  { file: 'extension.ts', text: "import './tables'", told: /the file is tables\.ts, import it by that name/ },
  {
    file: 'compiled.ts',
    text: "import './tables.js'",
    told: /the file is tables\.ts, import it by that name/,
  },
  {
    file: 'folder.ts',
    text: "import './folder'",
    told: /import it by its name, as in ".\/tables\/index.ts"/,
  },
  {
    file: 'nowhere.ts',
    text: "import './nothing.ts'",
    told: /nothing\.ts.*Create the file, or correct the path/,
  },
  {
    file: 'alias.ts',
    text: "import '@/tables'",
    told: /@\/tables.*Node does not use the aliases of tsconfig\.json: import by a relative path/,
  },
  { file: 'hash.ts', text: "import '#tables'", told: /#tables.*Declare it under "imports" in package.json/ },
  {
    file: 'enum.ts',
    text: '\nenum A { b }\nexport default A',
    told: /enum.*\(enum\.ts:2\).*write an enum as an object/,
  },
  { file: 'deep.ts', text: "import './enum.ts'", told: /enum.*\(enum\.ts:2\)/ },
  { file: 'decorator.ts', text: '@f class A {}', told: /decorators and JSX cannot be used/ },
  { file: 'markup.tsx', text: 'export default <div/>', told: /\.tsx.*rename the file/ },
  { file: 'syntax.ts', text: 'export default 1 +', told: /\(syntax\.ts:1\)\. Correct the syntax/ },
  {
    file: 'type.ts',
    text: "import { Row } from './tables.ts'",
    told: /'Row'.*Import|Set.*import types with "import type"/,
  },
  {
    file: 'throws.ts',
    text: "\n\nthrow new TypeError('no such table')",
    told: /TypeError: no such table \(throws\.ts:3\)\./,
  },
  { file: 'text.ts', text: "throw 'words'", told: /it threw "words", which is not an Error/ },
  {
    file: 'waits.ts',
    text: 'await new Promise(() => {})',
    told: /top-level await never resolves/,
  },
  {
    file: 'nothing-exported.ts',
    text: 'export const a = 1',
    told: /has no default export\. Write: export default/,
  },
  {
    file: 'other.ts',
    text: 'export default { name: "x" }',
    told: /was not made by defineApplication\. Write:/,
  },
  {
    file: 'older/freehold.config.ts',
    text: 'export default 1 as number',
    told: /Set "type": "module" in package.json/,
  },
  {
    file: 'absent.ts',
    text: '',
    told: /absent\.ts does not exist\. Run the command in the application's folder/,
  },
]

const PROGRAM = `
  import { failureOf } from ${JSON.stringify(join(checkout, 'src/cli/failures.ts'))}
  import { loadApplication } from ${JSON.stringify(join(checkout, 'src/cli/load-application.ts'))}
  const told = {}
  for (const file of process.argv.slice(2))
    told[file] = await loadApplication(file).then(() => null, (error) => failureOf(error))
  process.stdout.write(JSON.stringify(told))`

let directory: string
let told: Record<string, { code: string; exitCode: number; lines: string[] } | null>

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'freehold-configuration-'))
  const write = async (file: string, text: string) => {
    await mkdir(dirname(join(directory, file)), { recursive: true })
    await writeFile(join(directory, file), text)
  }
  await write('package.json', '{"type":"module"}')
  await write('older/package.json', '{"type":"commonjs"}')
  await write('tables.ts', 'export interface Row { a: string }\nexport const rows: Row[] = []')
  await write('folder/index.ts', '')
  for (const { file, text } of CASES) if (text !== '') await write(file, text)
  const index = JSON.stringify(join(checkout, 'src/index.ts'))
  const definition =
    "defineApplication({ name: 'good', tables: {}, migrations: new URL('./migrations', import.meta.url) })"
  await write('good.ts', `import { defineApplication } from ${index}\nexport default ${definition}`)
  await write(
    'bad.ts',
    `import { defineApplication } from ${index}\nexport default ${definition.replace('good', 'BAD')}`,
  )
  await write('load.mjs', PROGRAM)
  const files = [...CASES.map(({ file }) => file), 'good.ts', 'bad.ts']
  const { stdout } = await run(process.execPath, ['load.mjs', ...files], { cwd: directory })
  told = JSON.parse(stdout)
})
afterAll(() => rm(directory, { recursive: true, force: true }))

describe('a configuration file', () => {
  test.each(CASES)(
    '$file ends the process with 78, and the message names the file and what to change',
    ({ file, told: words }) => {
      const { exitCode, lines = [] } = told[file] ?? {}
      expect(exitCode).toBe(78)
      expect(lines).toHaveLength(1)
      expect(lines[0]).toContain(file)
      expect(lines[0]).toMatch(words)
      expect(lines[0]).not.toMatch(/\n|^ *at |node:internal/)
    },
  )

  test('with a wrong declaration is reported with all its faults', () => {
    expect(told['bad.ts']).toMatchObject({ code: 'APPLICATION_INVALID', exitCode: 78 })
    expect(told['bad.ts']?.lines.join('\n')).toMatch(/bad\.ts[\s\S]*name "BAD"/)
  })

  test('with an application is loaded', () => {
    expect(told['good.ts']).toBeNull()
  })
})
