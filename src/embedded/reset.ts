/** `npm run demo:reset`: deletes the embedded server with all its data. The next start creates the demo again. */
import { readdir, rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import { EmbeddedServerError, unless } from './failure.ts'
import { removeEmbeddedServer } from './server.ts'

const EX_TEMPFAIL = 75

async function reset(directory: string): Promise<string> {
  if ((await unless(['ENOENT'], readdir(directory))) === null) return 'There is no demo data here.'
  // Refused while a gateway runs: it holds the server's lock.
  await removeEmbeddedServer(`${directory}/postgres`)
  await rm(directory, { recursive: true, force: true })
  return `Deleted ${directory}. The next \`npm start\` creates the demo again.`
}

reset(resolve('.freehold')).then(
  (said) => process.stdout.write(`${said}\n`),
  (error: unknown) => {
    if (!(error instanceof EmbeddedServerError)) throw error
    process.stderr.write(`${error.message}\n`)
    process.exitCode = EX_TEMPFAIL
  },
)
