import type { Command } from 'commander'
import { appOption, jsonOption } from '../options.ts'

interface SchemaOptions {
  readonly app: string
  readonly json?: boolean
}

/** `freehold schema`: an application's migrations, for the developer. Neither settings nor a gateway are needed. */
export function addSchema(program: Command): void {
  const schema = program.command('schema').description("write an application's migrations, and check them")
  schema
    .command('generate')
    .description('write the migration that leads to the tables as they are declared')
    .requiredOption('--name <name>', "the end of the file's name, such as add-bookings")
    .addOption(appOption())
    .addOption(jsonOption())
    .action(async ({ app, name, json = false }: SchemaOptions & { name: string }) => {
      const { generate } = await import('./application-schema.ts')
      await generate(app, { name, json })
    })
  schema
    .command('check')
    .description('apply all migrations to a throwaway database, and compare it with what is declared')
    .addOption(appOption())
    .addOption(jsonOption())
    .action(async ({ app, json = false }: SchemaOptions) => {
      const { check } = await import('./application-schema.ts')
      await check(app, { json })
    })
}
