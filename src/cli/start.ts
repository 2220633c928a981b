import type { Command } from 'commander'
import { appOption } from './options.ts'

/** `freehold start`: serves from the databases that the settings name. */
export function addStart(program: Command): void {
  program
    .command('start')
    .description('serve an application from the databases that the settings name')
    .addOption(appOption())
    .action(async ({ app }: { app: string }) => {
      // Loaded here, so that other commands and --help need not load the gateway.
      const [{ readInputs }, { serve }] = await Promise.all([import('./inputs.ts'), import('./serve.ts')])
      const { settings, application } = await readInputs(app, { mayEmbed: false })
      await serve(settings, application)
    })
}
