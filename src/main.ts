import { property } from './applications/property/application.ts'
import { tellFailure } from './cli/failures.ts'
import { serve } from './cli/serve.ts'
import { readSettings } from './config.ts'

/** Serves the reference application: `npm start`, and with `start` behind it the image, which never embeds a PostgreSQL. */
async function main(): Promise<void> {
  await serve(readSettings(undefined, { mayEmbed: process.argv[2] !== 'start' }), property)
}

main().catch((error: unknown) => process.exit(tellFailure(error)))
