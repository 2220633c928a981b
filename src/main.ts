import { startQuickly } from './cli/quick-start.ts'

/** Serves the reference application. `npm start` may embed a PostgreSQL; the image runs this with `start` and never embeds one. */
async function main(): Promise<void> {
  startQuickly()
  // Loaded after that, because it takes effect on later imports only.
  const [{ property }, { serve }, { readSettings }] = await Promise.all([
    import('./applications/property/application.ts'),
    import('./cli/serve.ts'),
    import('./config.ts'),
  ])
  await serve(readSettings(undefined, { mayEmbed: process.argv[2] !== 'start' }), property)
}

main().catch(async (error: unknown) => {
  const { reportFailure } = await import('./cli/failures.ts')
  process.exit(reportFailure(error))
})
