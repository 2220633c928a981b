/** `node bench/write-figures.ts bench.json`: replaces the figures in docs/performance.md with those of a run. */
import { readFile, writeFile } from 'node:fs/promises'
import type { Report } from './report/json.ts'
import { markdownOf } from './report/markdown.ts'

const PAGE = new URL('../docs/performance.md', import.meta.url)
const MARKED = /(<!-- figures of one run -->\n)[\s\S]*(<!-- end of the figures -->)/

const [file] = process.argv.slice(2)
if (file === undefined) throw new Error('give the file that npm run bench -- --json FILE has written')
const report = JSON.parse(await readFile(file, 'utf8')) as Report
const page = await readFile(PAGE, 'utf8')
if (!MARKED.test(page)) throw new Error('docs/performance.md has no marks between which the figures belong')
const figures = `\n${markdownOf(report).join('\n')}\n\n`
await writeFile(
  PAGE,
  page.replace(MARKED, (_, begin: string, end: string) => begin + figures + end),
)
