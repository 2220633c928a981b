import type { Command } from 'commander'
import { appOption, jsonOption } from '../options.ts'

interface SchemaOptions {
  readonly app: string
  readonly json?: boolean
}

/** `freehold schema`: writes and checks an application's migrations. Needs neither settings nor a gateway. */
export function addSchema(program: Command): void {
  const schema = program.command('schema').description("write an application's migrations, and check them")
  schema
    .command('generate')
    .description('write a migration for the changes of the declared tables')
    .requiredOption('--name <name>', 'the end of the file name, for example add-bookings')
    .addOption(appOption())
    .addOption(jsonOption())
    .action(async ({ app, name, json = false }: SchemaOptions & { name: string }) => {
      const { generate } = await import('./application-schema.ts')
      await generate(app, { name, json })
    })
  schema
    .command('check')
    .description('apply all migrations to a throwaway database and compare it with the declared tables')
    .addOption(appOption())
    .addOption(jsonOption())
    .action(async ({ app, json = false }: SchemaOptions) => {
      const { check } = await import('./application-schema.ts')
      await check(app, { json })
    })
}
