/** Has public linters read the OpenAPI document of the reference application: `npm run check:openapi`. */
import { spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readDocument } from '../../examples/client/document.ts'

const LINTERS: readonly (readonly string[])[] = [
  ['redocly', 'lint', '--config', join(import.meta.dirname, 'redocly.yaml')],
  ['spectral', 'lint', '--ruleset', join(import.meta.dirname, 'spectral.yaml'), '--fail-severity', 'hint'],
]
/** Linters look for nothing on the network. */
const QUIET = { REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' }

async function main(): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'freehold-openapi-'))
  try {
    const file = join(folder, 'openapi.json')
    await writeFile(file, JSON.stringify(await readDocument(), null, 2))
    const failed = LINTERS.filter(([command = '', ...args]) => !passes(command, [...args, file]))
    return failed.length === 0 ? 0 : 1
  } finally {
    await rm(folder, { recursive: true })
  }
}

function passes(command: string, args: readonly string[]): boolean {
  const { status } = spawnSync(command, args, { stdio: 'inherit', env: { ...process.env, ...QUIET } })
  return status === 0
}

process.exitCode = await main()
