import { existsSync, globSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { readSettings } from '../../src/config.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const documents = [
  ...['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'SECURITY.md', '.github/pull_request_template.md'],
  ...globSync('docs/**/*.md', { cwd: root }),
]

const BLOCKS_OF_CODE = /^( *)(```+|~~~+)[\s\S]*?^\1\2 *$/gm

/** Targets of `[text](target)`, `![text](target)` and `[name]: target` that are not addresses elsewhere. */
function linksOf(text: string): string[] {
  const prose = text.replace(BLOCKS_OF_CODE, '').replace(/`[^`\n]*`/g, '')
  const inline = [...prose.matchAll(/\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)/g)]
  const defined = [...prose.matchAll(/^ {0,3}\[[^\]]+\]:\s*<?(\S+?)>?(?:\s|$)/gm)]
  return [...inline, ...defined]
    .map(([, target = '']) => target)
    .filter((target) => !/^[a-z][a-z0-9+.-]*:/i.test(target))
}

/** What GitHub makes of the headings: lower case, no punctuation, hyphens for spaces, a number for a repetition. */
function anchorsOf(text: string): Set<string> {
  const seen = new Map<string, number>()
  const anchors = new Set<string>()
  for (const [, heading = ''] of text.replace(BLOCKS_OF_CODE, '').matchAll(/^#{1,6} +(.+?) *#*$/gm)) {
    const plain = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase()
    const slug = plain.replace(/[^\p{L}\p{N}\p{M} _-]/gu, '').replaceAll(' ', '-')
    const times = seen.get(slug) ?? 0
    seen.set(slug, times + 1)
    anchors.add(times === 0 ? slug : `${slug}-${times}`)
  }
  return anchors
}

/** Null if the link is valid, else its fault. */
function faultOf(from: string, link: string): string | null {
  const [path = '', anchor] = decodeURIComponent(link).split('#')
  const target = path === '' ? join(root, from) : resolve(root, dirname(from), path)
  if (relative(root, target).startsWith('..')) return `${link} leads out of the repository`
  if (!existsSync(target)) return `${link} leads to no file`
  if (anchor === undefined) return null
  if (statSync(target).isDirectory()) return `${link} has an anchor in a folder`
  return anchorsOf(readFileSync(target, 'utf8')).has(anchor) ? null : `${link} leads to no heading`
}

describe.each(documents)('%s', (name) => {
  test('has no broken link', () => {
    expect(linksOf(read(name)).flatMap((link) => faultOf(name, link) ?? [])).toEqual([])
  })

  test('names no missing file of the repository', () => {
    const path = /`((?:src|test|docs|bench|deploy|catalog-migrations|tenant-migrations)\/[\w./-]*)`/g
    const named = [...read(name).matchAll(path)].map(([, found = '']) => found)
    expect(named.filter((each) => !existsSync(join(root, each)))).toEqual([])
  })
})

test('the test reads links and headings but not code, and finds broken links', () => {
  const code = '`[y](z)`\n```\n[no](no)\n# No\n```'
  const text = `# One \`two\`!\n## A-b (c)\n## A-b (c)\n[x](#a) ${code}\n[r]: docs/ "t"\n[e](https://x)`
  expect(linksOf(text)).toEqual(['#a', 'docs/'])
  expect([...anchorsOf(text)]).toEqual(['one-two', 'a-b-c', 'a-b-c-1'])
  expect(faultOf('README.md', '../outside.md')).toMatch(/leads out/)
  expect(faultOf('README.md', 'docs/nowhere.md')).toMatch(/no file/)
  expect(faultOf('README.md', 'CONTRIBUTING.md#nowhere')).toMatch(/no heading/)
  expect(faultOf('README.md', 'CONTRIBUTING.md#layout')).toBeNull()
})

/** Every name that is looked up in the environment, embedded or not. */
function settingNames(): string[] {
  const names = new Set<string>()
  const watch = (env: NodeJS.ProcessEnv) =>
    new Proxy(env, {
      get: (target, name) => {
        names.add(String(name))
        return target[String(name)]
      },
    })
  const url = (name: string) => `postgresql://u:p@127.0.0.1/${name}`
  const databases = { CATALOG_DATABASE_URL: url('catalog'), SHARED_DATABASE_URL: url('shared') }
  readSettings(watch({}))
  readSettings(watch({ ...databases, ENCRYPTION_KEY: '0123456789abcdef'.repeat(4) }))
  return [...names]
}

/** Names in the first cell of the rows of a document's tables. */
function firstCells(text: string): string[] {
  const cells = [...text.matchAll(/^\| *(`[^|]+`) *\|/gm)].map(([, cell = '']) => cell)
  return cells.flatMap((cell) => [...cell.matchAll(/`([A-Z][A-Z0-9_]+)`/g)].map(([, name = '']) => name))
}

test('the README has exactly the settings that are read', () => {
  expect([...new Set(firstCells(read('README.md')))].sort()).toEqual(settingNames().sort())
})
