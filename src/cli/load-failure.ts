import { existsSync } from 'node:fs'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const STRIPPED_ONLY =
  'Node only removes types: write an enum as an object, a namespace as a module, ' +
  'a parameter property as a field; decorators and JSX cannot be used'

/** Remedies for files that Node cannot load, by Node's error code. */
const REMEDIES: Readonly<Record<string, string>> = {
  ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX: STRIPPED_ONLY,
  ERR_INVALID_TYPESCRIPT_SYNTAX: 'Correct the syntax; a .ts file cannot contain JSX',
  ERR_UNKNOWN_FILE_EXTENSION:
    'Node loads .ts, .mts, .js and .mjs: rename the file, or move what is needed into one of these',
  ERR_UNSUPPORTED_DIR_IMPORT:
    'Node does not look for an index file: import it by its name, as in "./tables/index.ts"',
  ERR_UNSUPPORTED_NODE_MODULES_TYPE_STRIPPING:
    'Node does not load TypeScript below node_modules: that package must be compiled',
  ERR_IMPORT_ATTRIBUTE_MISSING: 'Import it with { type: "json" }',
  ERR_PACKAGE_IMPORT_NOT_DEFINED: 'Declare it under "imports" in package.json',
  ERR_PACKAGE_PATH_NOT_EXPORTED: 'Import what the package exports',
}
const NO_ALIASES =
  'Install the package. Node does not use the aliases of tsconfig.json: ' +
  'import by a relative path, or by a "#name" under "imports" in package.json'

/** One line that says why a module could not be loaded, where, and the remedy. Never a stack. */
export function describeLoadFailure(error: unknown, directory = process.cwd()): string {
  if (!(error instanceof Error))
    return `it threw ${typeof error === 'string' ? JSON.stringify(error) : typeof error}, which is not an Error`
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  const line = lineOf(error, directory)
  const reason = `${code === '' ? `${error.name}: ` : ''}${firstLine(error.message)}${line === null ? '' : ` (${line})`}`
  const remedy = remedyFor(error, code)
  return remedy === null ? reason : `${reason}. ${remedy}`
}

function remedyFor(error: Error, code: string): string | null {
  if (code === 'ERR_MODULE_NOT_FOUND') return remedyForMissing('url' in error ? String(error.url) : null)
  // Errors of V8 have no code: the file did not compile after its types were removed, or a name was not exported.
  if (code === '' && error instanceof SyntaxError)
    return `Set "type": "module" in package.json; import types with "import type". ${STRIPPED_ONLY}`
  return REMEDIES[code] ?? null
}

/** `url` is the target of a relative import. It is null for a package that was not found. */
function remedyForMissing(url: string | null): string {
  if (url === null || !url.startsWith('file:')) return NO_ALIASES
  const written = fileURLToPath(url)
  const meant = [`${written}.ts`, written.replace(/\.(m?)js$/, '.$1ts'), `${written}/index.ts`].find(
    (path) => path !== written && existsSync(path),
  )
  if (meant === undefined) return 'Create the file, or correct the path'
  return `Node does not change file extensions: the file is ${relative(process.cwd(), meant)}, import it by that name`
}

/** `tables.ts:12`: the faulty line of the application, if the stack names one. */
export function lineOf(error: Error, directory: string): string | null {
  for (const [, url = '', line] of (error.stack ?? '').matchAll(/(file:\/\/[^\s:)]+):(\d+)/g)) {
    const path = relative(directory, fileURLToPath(url))
    if (!path.startsWith('..') && !path.includes('node_modules')) return `${path}:${line}`
  }
  return null
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? ''
}
