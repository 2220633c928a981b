import { readFileSync } from 'node:fs'

/** The release, as `package.json` beside `src/` or `dist/` says it. */
export const VERSION: string = readVersion()

function readVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  const { version } = JSON.parse(text) as { version: string }
  return version
}
