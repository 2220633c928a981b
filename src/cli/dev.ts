import type { Command } from 'commander'
import { appOption } from './options.ts'

/** `freehold dev`: without settings everything is embedded, with demonstration tenants. */
export function addDev(program: Command): void {
  program
    .command('dev')
    .description(
      'serve an application from a PostgreSQL of its own in .freehold/, with demonstration tenants',
    )
    .addOption(appOption())
    .action(async ({ app }: { app: string }) => {
      // Loaded here, so that other commands and --help do not wait for all of the gateway.
      const [{ readGiven }, { serve }] = await Promise.all([import('./given.ts'), import('./serve.ts')])
      const { settings, application } = await readGiven(app, { mayEmbed: true })
      await serve(settings, application)
    })
}
