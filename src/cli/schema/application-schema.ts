import { relative } from 'node:path'
import { CommandError, EXIT } from '../exit-codes.ts'
import { loadApplication } from '../load-application.ts'
import { checkSchema } from './check.ts'
import { type Generated, generateMigration } from './generate.ts'
import { SchemaError } from './schema-error.ts'
import { openThrowawayServer } from './throwaway-server.ts'

/** Writes a migration and prints its file. @throws CommandError */
export async function generate(file: string, { name, json }: { name: string; json: boolean }): Promise<void> {
  const application = await loadApplication(file)
  const interactive = !json && process.stdin.isTTY === true && process.stdout.isTTY === true
  const made = await generateMigration({ application, name, interactive }).catch(refuse)
  process.stdout.write(json ? `${JSON.stringify(made ?? { path: null, tables: [] })}\n` : sentenceOf(made))
}

function sentenceOf(made: Generated | null): string {
  if (made === null) return 'Nothing has changed: the migrations already create the declared tables.\n'
  const { path, tables } = made
  const created = tables.length === 0 ? '' : ` It creates ${tables.join(', ')}.`
  return `Wrote ${relative(process.cwd(), path)}.${created} Read it before you apply it.\n`
}

function refuse(error: unknown): never {
  if (!(error instanceof SchemaError)) throw error
  const { code, message, details } = error
  const exitCode = code === 'NAME_INVALID' ? EXIT.usage : EXIT.failed
  throw new CommandError(message, { code, exitCode, details })
}

/** Checks an application's migrations and prints every fault. @throws CommandError if there is one */
export async function check(file: string, { json }: { json: boolean }): Promise<void> {
  const application = await loadApplication(file)
  const server = await openThrowawayServer()
  const { faults, notes } = await checkSchema(application, server.superuser)
    .catch(refuse)
    .finally(() => server.stop())
  if (!json) for (const note of notes) process.stderr.write(`${note}\n`)
  if (faults.length > 0)
    throw new CommandError(`The schema has ${faults.length === 1 ? 'a fault' : `${faults.length} faults`}:`, {
      code: 'SCHEMA_FAULTY',
      exitCode: EXIT.failed,
      details: faults,
    })
  const count = application.tenantTables.length + application.referenceTables.length
  process.stdout.write(
    json
      ? `${JSON.stringify({ faults, notes })}\n`
      : `Tables that match their declaration and isolate tenants: ${count}\n`,
  )
}
