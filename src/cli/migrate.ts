import type { Command } from 'commander'
import { appOption, jsonOption } from './options.ts'

interface MigrateOptions {
  readonly app: string
  readonly check?: boolean
  readonly json?: boolean
}

/** `freehold migrate`: applies what a start with `MIGRATE_ON_START=true` would apply. */
export function addMigrate(program: Command): void {
  program
    .command('migrate')
    .description('apply missing migrations to the catalog and the shared database')
    .addOption(appOption())
    .option('--check', 'apply nothing; list missing migrations, and exit with 1 if there are any')
    .addOption(jsonOption())
    .action(async ({ app, check = false, json = false }: MigrateOptions) => {
      const [{ readInputs }, { migrate }] = await Promise.all([
        import('./inputs.ts'),
        import('./schema/comparison.ts'),
      ])
      const { settings, application } = await readInputs(app, { mayEmbed: false })
      await migrate(settings, application, { check, json })
    })
}
