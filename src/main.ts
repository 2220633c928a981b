import { property } from './applications/property/application.ts'
import { reportFailure } from './cli/failures.ts'
import { serve } from './cli/serve.ts'
import { readSettings } from './config.ts'

/** Serves the reference application. `npm start` may embed a PostgreSQL; the image runs this with `start` and never embeds one. */
async function main(): Promise<void> {
  await serve(readSettings(undefined, { mayEmbed: process.argv[2] !== 'start' }), property)
}

main().catch((error: unknown) => process.exit(reportFailure(error)))
