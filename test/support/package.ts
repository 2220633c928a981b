import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'
import { checkout } from './checkout.ts'

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

export interface NextRelease {
  /** Where the tarball goes. */
  readonly directory: string
  readonly version: string
  /** Changes what is packed, such as a migration more. */
  readonly change: (stage: string) => Promise<void>
}

const POLL_MS = 100

/** The directory for packed files of a run. It is removed when the run ends. */
export function packedFolder(runId: string): string {
  return join(tmpdir(), `freehold-package-${runId}`)
}

/** The tarball of this checkout, packed once per run by the first test file that needs it. */
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

/** Packs a release again as a later one, and returns the path of the tarball. Only the first one has to be compiled. */
export async function packNext(
  tarball: string,
  { directory, version, change }: NextRelease,
): Promise<string> {
  const stage = join(directory, `stage-${version}`)
  await unpack(tarball, stage)
  await writeManifest(stage, { ...(await readManifest(stage)), version })
  await change(stage)
  return pack(stage, directory)
}

/**
 * Packs this checkout as npm publishes it, and returns the path of the tarball. It is built in a separate directory, so that
 * concurrent test files do not collide in `dist/`.
 */
async function packPackage(directory: string): Promise<string> {
  const stage = join(directory, 'stage')
  await mkdir(stage)
  const manifest = await readManifest(checkout)
  const always = ['README.md', 'LICENSE']
  const patterns = [...manifest.files, ...always].filter((file) => file !== 'dist')
  for (const name of patterns.map((pattern) => pattern.replace(/\/\*.*$/, '')))
    await cp(join(checkout, name), join(stage, name), { recursive: true })
  await writeManifest(stage, manifest)
  const tsc = join(checkout, 'node_modules', '.bin', 'tsc')
  // Several threads would check many types several times, and other tests need the processor as well.
  const args = ['-p', 'tsconfig.build.json', '--singleThreaded', '--outDir', join(stage, 'dist')]
  await run(process.execPath, [tsc, ...args], { cwd: checkout })
  return pack(stage, directory)
}

/** Packs what is in `stage`, and deletes it. */
async function pack(stage: string, directory: string): Promise<string> {
  const args = ['pack', '--ignore-scripts', '--silent', '--pack-destination', directory]
  const { stdout } = await run('npm', args, { cwd: stage })
  await rm(stage, { recursive: true })
  return join(directory, stdout.trim())
}

async function unpack(tarball: string, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  await run('tar', ['-xzf', tarball, '--strip-components=1', '-C', folder])
}

/**
 * Installs a tarball in a project as `npm install` would, without a registry: it unpacks the files below `node_modules`, and
 * links every other package that the project or the tarball declares to the checkout's. Undeclared packages are absent, so a
 * dependency that is missing in a manifest is found.
 */
export async function installPackage(project: string, tarball: string): Promise<void> {
  const modules = join(project, 'node_modules')
  const target = join(modules, 'freehold')
  await rm(target, { recursive: true, force: true })
  await unpack(tarball, target)
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
