import { KeyFormatError } from '../crypto/key-source.ts'
import { TrustedIssuersError } from '../identity/tokens/external-settings.ts'
import { ConnectionStringError } from '../lib/postgres/connection-string.ts'
import { HostRuleError } from '../lib/postgres/egress.ts'

export interface SettingProblem {
  readonly name: string
  readonly message: string
}

/** The settings have problems. Lists all of them and never repeats a value. */
export class SettingsError extends Error {
  readonly problems: readonly SettingProblem[]

  constructor(problems: readonly SettingProblem[]) {
    super(problems.map(({ name, message }) => `${name} ${message}`).join('\n'))
    this.name = 'SettingsError'
    this.problems = problems
  }
}

/** Why a value is refused. The text must not repeat the value. */
export class SettingRefused extends Error {}

/** Reads settings one by one and collects their problems. */
export class Environment {
  readonly problems: SettingProblem[] = []
  readonly #variables: NodeJS.ProcessEnv

  constructor(variables: NodeJS.ProcessEnv) {
    this.#variables = variables
  }

  /** An empty value counts as not set, because compose files and CI systems write unset variables like this. */
  text(name: string): string | null {
    return this.#variables[name] || null
  }

  refuse(name: string, message: string): void {
    this.problems.push({ name, message })
  }

  parsed<T>(name: string, parse: (text: string) => T): T | null {
    const text = this.text(name)
    if (text === null) return null
    try {
      return parse(text)
    } catch (error) {
      this.refuse(name, reasonOf(error))
      return null
    }
  }

  required<T>(name: string, parse: (text: string) => T): T | null {
    if (this.text(name) === null) this.refuse(name, 'is required if no PostgreSQL is embedded')
    return this.parsed(name, parse)
  }

  integer(name: string, fallback: number, { min, max }: { min: number; max: number }): number {
    const text = this.text(name)
    if (text === null) return fallback
    if (/^(?:0|[1-9][0-9]{0,9})$/.test(text) && Number(text) >= min && Number(text) <= max)
      return Number(text)
    this.refuse(name, `must be an integer from ${min} to ${max}`)
    return fallback
  }

  choice<T extends string>(name: string, choices: readonly T[], fallback: T): T {
    const text = this.text(name)
    const found = text === null ? fallback : choices.find((choice) => choice === text)
    if (found === undefined) this.refuse(name, `must be one of ${choices.join(', ')}`)
    return found ?? fallback
  }
}

/** The parsers' texts are fixed, with one exception: HostRuleError quotes its entries, so only their number is reported. */
function reasonOf(error: unknown): string {
  if (error instanceof SettingRefused || error instanceof ConnectionStringError) return error.message
  if (error instanceof TrustedIssuersError) return error.message
  if (error instanceof KeyFormatError) return `is not usable: ${error.message}`
  if (error instanceof HostRuleError) {
    return `has ${error.entries.length} that are not a host, suffix, address or CIDR with an optional port`
  }
  throw error
}
