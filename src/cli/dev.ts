import type { Command } from 'commander'
import { appOption } from './options.ts'

/** `freehold dev`: without databases in the settings, serves from an embedded PostgreSQL with demonstration tenants. */
export function addDev(program: Command): void {
  program
    .command('dev')
    .description(
      'serve an application from a PostgreSQL of its own in .freehold/, with demonstration tenants',
    )
    .addOption(appOption())
    .action(async ({ app }: { app: string }) => {
      // Loaded here, so that other commands and --help need not load the gateway.
      const [{ readInputs }, { serve }] = await Promise.all([import('./inputs.ts'), import('./serve.ts')])
      const { settings, application } = await readInputs(app, { mayEmbed: true })
      await serve(settings, application)
    })
}
