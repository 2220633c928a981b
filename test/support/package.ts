import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'
import { checkout } from './gateway-process.ts'

const run = promisify(execFile)

interface Manifest {
  name: string
  version: string
  files: string[]
  bin?: string | Record<string, string>
  dependencies?: Record<string, string>
  devDependencies?: Record<string, string>
  peerDependencies?: Record<string, string>
  peerDependenciesMeta?: Record<string, { optional?: boolean }>
}

export interface PackOptions {
  /** Another version than the checkout's. */
  readonly version?: string
  /** Changes what is packed, such as a migration more. */
  readonly change?: (stage: string) => Promise<void>
}

const POLL_MS = 100

/** Where a run keeps what it has packed. Removed when the run ends. */
export function packedFolder(runId: string): string {
  return join(tmpdir(), `freehold-package-${runId}`)
}

/** The tarball of this checkout, packed once in a run by the file that comes first. */
export async function packedOnce(runId: string): Promise<string> {
  const folder = packedFolder(runId)
  const note = join(folder, 'tarball')
  try {
    await mkdir(folder)
    await writeFile(note, await packPackage(folder))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    while (!existsSync(note)) await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
  return readFile(note, 'utf8')
}

/**
 * Packs this checkout as npm publishes it, and gives the tarball's path. It is built in a directory of its own, so that test
 * files that run at the same time do not meet in `dist/`.
 */
export async function packPackage(directory: string, { version, change }: PackOptions = {}): Promise<string> {
  const stage = join(directory, `stage-${version ?? 'own'}`)
  await mkdir(stage)
  const manifest = await readManifest(checkout)
  const always = ['README.md', 'LICENSE']
  const patterns = [...manifest.files, ...always].filter((file) => file !== 'dist')
  for (const name of patterns.map((pattern) => pattern.replace(/\/\*.*$/, '')))
    await cp(join(checkout, name), join(stage, name), { recursive: true })
  await writeManifest(stage, { ...manifest, ...(version !== undefined && { version }) })
  const tsc = join(checkout, 'node_modules', '.bin', 'tsc')
  await run(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--outDir', join(stage, 'dist')], {
    cwd: checkout,
  })
  await change?.(stage)
  const pack = ['pack', '--ignore-scripts', '--silent', '--pack-destination', directory]
  const { stdout } = await run('npm', pack, { cwd: stage })
  await rm(stage, { recursive: true })
  return join(directory, stdout.trim())
}

/**
 * What `npm install` would make of a project and a tarball, without a registry: the tarball's files are unpacked below
 * `node_modules`, and every other package that the project or the tarball declares is a link to the checkout's. What is not
 * declared is not there, so that a dependency that is missing from a manifest is found.
 */
export async function installPackage(project: string, tarball: string): Promise<void> {
  const modules = join(project, 'node_modules')
  const target = join(modules, 'freehold')
  await rm(target, { recursive: true, force: true })
  await mkdir(target, { recursive: true })
  await run('tar', ['-xzf', tarball, '--strip-components=1', '-C', target])
  const own = await readManifest(target)
  const given = await readManifest(project)
  const peers = Object.keys(own.peerDependencies ?? {}).filter(
    (name) => own.peerDependenciesMeta?.[name]?.optional !== true,
  )
  const names = [own.dependencies, given.dependencies, given.devDependencies].flatMap((list) =>
    Object.keys(list ?? {}),
  )
  for (const name of new Set([...names, ...peers])) if (name !== 'freehold') await link(modules, name)
  await linkCommands(modules, 'freehold', own)
}

async function link(modules: string, name: string): Promise<void> {
  const source = join(checkout, 'node_modules', name)
  const manifest = await readManifest(source)
  await linkOnce(source, join(modules, name))
  await linkCommands(modules, name, manifest)
}

async function linkCommands(modules: string, name: string, { bin = {} }: Manifest): Promise<void> {
  const commands = typeof bin === 'string' ? { [name.replace(/^@.*\//, '')]: bin } : bin
  for (const [command, file] of Object.entries(commands)) {
    const path = join(modules, '.bin', command)
    await linkOnce(relative(dirname(path), join(modules, name, file)), path)
  }
}

async function linkOnce(target: string, path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await rm(path, { force: true })
  await symlink(target, path)
}

async function readManifest(directory: string): Promise<Manifest> {
  return JSON.parse(await readFile(join(directory, 'package.json'), 'utf8'))
}

function writeManifest(directory: string, manifest: Manifest): Promise<void> {
  return writeFile(join(directory, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
}
