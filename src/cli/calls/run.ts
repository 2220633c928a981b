import { operatorSettings } from '../../config.ts'
import { CommandError, EXIT, type ExitCode } from '../exit-codes.ts'
import { ApiClient } from './client.ts'
import type { ApiCommand } from './command.ts'
import { confirmed } from './confirm.ts'
import { baseUrlOf, tokenFrom } from './credentials.ts'
import { adviceOn, exitOfRun, followRun, type Run } from './follow.ts'
import { collectPages } from './pages.ts'
import { note, printFields, printJson, printPage } from './print.ts'
import { type Given, numberOf, requestOf } from './request.ts'

const MS = 1000
const HEALTH_EXITS: Readonly<Record<string, ExitCode>> = { ok: EXIT.done, degraded: EXIT.partly }

/** Makes the call of a command and prints its answer. @throws CommandError, and no other error */
export async function runApiCommand(command: ApiCommand, given: Given): Promise<ExitCode> {
  try {
    return await run(command, given)
  } catch (error) {
    if (error instanceof CommandError) throw error
    const reason = error instanceof Error ? error.message : 'no reason given'
    throw new CommandError(`This is a fault of the command: ${reason}`, {
      code: 'INTERNAL_ERROR',
      exitCode: EXIT.failed,
    })
  }
}

async function run(command: ApiCommand, typed: Given): Promise<ExitCode> {
  const client = await clientFor(command, typed)
  const given = await confirmed(command, typed)
  const request = await requestOf(command, given, client)
  const isJson = given.flags.json === true
  if (command.columns !== undefined) {
    const page = await collectPages(client, request, given.flags)
    if (isJson) printJson(page)
    else printPage(page, command.columns)
    return EXIT.done
  }
  const { body, effective } = await client.call({
    ...request,
    ...(command.prefix === '' && { alsoAnswers: 503 }),
  })
  const isFollowed = command.isFollowed === true && given.flags.detach !== true
  const shown = isFollowed ? await followRun(client, body as Run, seconds(given, 'interval')) : body
  if (shown === null) {
    if (!isJson) note('Done')
  } else if (isJson) printJson(shown)
  else printFields(shown, command.sentences)
  if (effective !== null && !isJson) note(`Gateways that apply it: ${effective}`)
  if (isFollowed) {
    const advice = adviceOn(shown)
    if (advice !== null && !isJson) note(advice)
    return exitOfRun(shown)
  }
  return exitOf(command, shown)
}

/** A verdict is an answer with 200 whatever it says, so the exit code tells what it says. */
function exitOf(
  { prefix, noun, verb }: ApiCommand,
  shown: { status?: string; ok?: boolean } | null,
): ExitCode {
  if (prefix === '') return HEALTH_EXITS[shown?.status ?? ''] ?? EXIT.failed
  if (noun === 'audit' && verb === 'verify') return shown?.ok === true ? EXIT.done : EXIT.failed
  return EXIT.done
}

async function clientFor({ prefix }: ApiCommand, given: Given): Promise<ApiClient> {
  const { url, tokenFile } = given.flags as { url?: string; tokenFile?: string }
  const settings = operatorSettings()
  const base = baseUrlOf(url ?? settings.url)
  // Probes want no credential.
  const token = prefix === '' ? null : await tokenFrom(tokenFile, settings.token)
  return new ApiClient(base, { token, timeoutMs: seconds(given, 'timeout') })
}

function seconds({ flags }: Given, name: string): number {
  return Math.max(1, numberOf(name, String(flags[name]))) * MS
}
