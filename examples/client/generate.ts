/**
 * Writes `api.ts` beside this file from the gateway's own OpenAPI document: `npm run client:generate`. It needs no
 * database, because the document follows from the routes alone.
 */
import { writeFile } from 'node:fs/promises'
import { pino } from 'pino'
import { generateApi } from 'swagger-typescript-api'
import { property } from '../../src/applications/property/application.ts'
import type { HttpDeps } from '../../src/http/deps.ts'
import { ownOf } from '../../src/http/own/own.ts'
import { createServer } from '../../src/http/server.ts'

const TARGET = new URL('api.ts', import.meta.url)

const HEADER = `// Generated from /openapi.json by \`npm run client:generate\`. Do not edit.
// biome-ignore-all lint: generated
// biome-ignore-all format: generated
// biome-ignore-all assist: generated
`

/** What the generator writes for browsers, and for compilers that are asked less than ours. */
const CORRECTIONS: readonly (readonly [string, string])[] = [
  ['keyof Omit<Body, "body" | "bodyUsed">', '"arrayBuffer" | "blob" | "formData" | "json" | "text"'],
  ['.then((data) => {', '.then((data: any) => {'],
  ['  query?: QueryParamsType;', '  query?: QueryParamsType | undefined;'],
]

/** The text of the client, as it should stand in `api.ts`. */
export async function generateClient(): Promise<string> {
  const { files } = await generateApi({
    spec: await readDocument(),
    output: false,
    silent: true,
    // Unions and not enums: Node runs TypeScript only where erasing the types is enough.
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

/** The document of a server that is never opened: what it would answer with is not asked for. */
async function readDocument(): Promise<never> {
  const settings = { actForHeader: 'x-account-id', version: '0', trustedProxies: [] }
  const deps = { application: property, own: ownOf(property), settings, log: pino({ enabled: false }) }
  const server = createServer(deps as unknown as HttpDeps)
  try {
    await server.ready()
    return withOneProblem(structuredClone(server.swagger())) as never
  } finally {
    await server.close()
  }
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
