import type { Application } from '../application.ts'
import type { Settings } from '../config/settings.ts'
import { readSettings } from '../config.ts'
import { CommandError, EXIT } from './exit-codes.ts'
import { failureOf } from './failures.ts'
import { loadApplication } from './load-application.ts'

/**
 * The settings and the application of a command. When both are wrong, one error lists the faults of both.
 * @throws SettingsError, CommandError
 */
export async function readInputs(
  file: string,
  { mayEmbed }: { mayEmbed: boolean },
): Promise<{ settings: Settings; application: Application }> {
  const [settings, application] = await Promise.allSettled([
    // Inside a promise, so that an exception becomes a rejection.
    Promise.resolve().then(() => readSettings(undefined, { mayEmbed })),
    loadApplication(file),
  ])
  if (settings.status === 'fulfilled' && application.status === 'fulfilled')
    return { settings: settings.value, application: application.value }
  if (settings.status === 'fulfilled') throw (application as PromiseRejectedResult).reason
  if (application.status === 'fulfilled') throw settings.reason
  const [first = '', ...details] = [settings.reason, application.reason].flatMap(
    (reason) => failureOf(reason).lines,
  )
  throw new CommandError(first, { code: 'SETTINGS_INVALID', exitCode: EXIT.config, details })
}
