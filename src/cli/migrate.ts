import type { Command } from 'commander'
import { appOption, jsonOption } from './options.ts'

interface MigrateOptions {
  readonly app: string
  readonly check?: boolean
  readonly json?: boolean
}

/** `freehold migrate`: what a start does with `MIGRATE_ON_START=true`, by itself. */
export function addMigrate(program: Command): void {
  program
    .command('migrate')
    .description('apply what is missing to the catalog and the shared database')
    .addOption(appOption())
    .option('--check', 'apply nothing; list what is missing, and end with 1 if there is something')
    .addOption(jsonOption())
    .action(async ({ app, check = false, json = false }: MigrateOptions) => {
      const [{ readGiven }, { migrate }] = await Promise.all([
        import('./given.ts'),
        import('./schema/comparison.ts'),
      ])
      const { settings, application } = await readGiven(app, { mayEmbed: false })
      await migrate(settings, application, { check, json })
    })
}
