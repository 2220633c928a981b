/**
 * Writes `api.ts` beside this file from the gateway's own OpenAPI document: `npm run client:generate`. It needs no
 * database, because the document depends only on the routes.
 */
import { writeFile } from 'node:fs/promises'
import { generateApi } from 'swagger-typescript-api'
import { readDocument } from './document.ts'

const TARGET = new URL('api.ts', import.meta.url)

const HEADER = `// Generated from /openapi.json by \`npm run client:generate\`. Do not edit.
// biome-ignore-all lint: generated
// biome-ignore-all format: generated
// biome-ignore-all assist: generated
`

/** Text that the generator writes for browsers and for less strict compilers, and its replacement. */
const CORRECTIONS: readonly (readonly [string, string])[] = [
  ['keyof Omit<Body, "body" | "bodyUsed">', '"arrayBuffer" | "blob" | "formData" | "json" | "text"'],
  ['.then((data) => {', '.then((data: any) => {'],
  ['  query?: QueryParamsType;', '  query?: QueryParamsType | undefined;'],
]

/** The text of the client for `api.ts`. */
export async function generateClient(): Promise<string> {
  const { files } = await generateApi({
    spec: withOneProblem(await readDocument()) as never,
    output: false,
    silent: true,
    // Unions, not enums: Node runs TypeScript only if it can erase the types.
    generateUnionEnums: true,
    httpClientType: 'fetch',
    moduleNameFirstTag: true,
    sortRoutes: true,
    sortTypes: true,
  })
  const [file] = files
  if (file === undefined) throw new Error('the generator made nothing')
  return HEADER + CORRECTIONS.reduce(correct, file.fileContent)
}

function correct(text: string, [wrong, right]: readonly [string, string]): string {
  if (!text.includes(wrong)) throw new Error(`the generator writes no more: ${wrong}`)
  return text.replaceAll(wrong, right)
}

/** Every error is a Problem; a type of its own for each route's would be most of the client. */
function withOneProblem(document: object): object {
  const { components } = document as { components: { responses: Record<string, Answer> } }
  for (const { content = {} } of Object.values(components.responses)) {
    const problem = content['application/problem+json']
    if (problem !== undefined) problem.schema = { $ref: '#/components/schemas/Problem' }
  }
  return document
}

interface Answer {
  readonly content?: Record<string, { schema: object }>
}

if (import.meta.main) await writeFile(TARGET, await generateClient())
