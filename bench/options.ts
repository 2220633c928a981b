import { parseArgs } from 'node:util'

export interface BenchOptions {
  readonly isShort: boolean
  readonly rounds: number
  readonly seconds: number
  /** Connections of the load generator, except in the rows that say otherwise. */
  readonly connections: number
  /** Only rows whose name contains this text. */
  readonly only: string | null
  readonly jsonFile: string | null
  /** Settings of a second gateway that is measured beside the first; none: there is no second one. */
  readonly settings: Readonly<Record<string, string>>
  /** How long PostgreSQL needs to make a commit durable. 0: it does not wait. */
  readonly flushMs: number
  /** Where `npm install --prefix` has put Platformatic. */
  readonly platformatic: string
}

const FULL = { rounds: 7, seconds: 1 }
const SHORT = { rounds: 3, seconds: 0.4 }
const DEFAULT_CONNECTIONS = 50
const DEFAULT_PLATFORMATIC = 'node_modules/.cache/platformatic'

/** @throws Error that says which option is wrong */
export function parseOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      short: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      connections: { type: 'string' },
      only: { type: 'string' },
      json: { type: 'string' },
      setting: { type: 'string', multiple: true, default: [] },
      'flush-ms': { type: 'string' },
      platformatic: { type: 'string', default: DEFAULT_PLATFORMATIC },
    },
  })
  const { rounds, seconds } = values.short ? SHORT : FULL
  return {
    isShort: values.short,
    rounds: readNumber('--rounds', values.rounds ?? String(rounds), { isWhole: true, min: 1 }),
    seconds: readNumber('--seconds', values.seconds ?? String(seconds), { isWhole: false, min: 0.05 }),
    connections: readNumber('--connections', values.connections ?? String(DEFAULT_CONNECTIONS), {
      ...{ isWhole: true, min: 1 },
    }),
    only: values.only ?? null,
    jsonFile: values.json ?? null,
    settings: Object.fromEntries(values.setting.map(parseSetting)),
    flushMs: readNumber('--flush-ms', values['flush-ms'] ?? '0', { isWhole: false, min: 0 }),
    platformatic: values.platformatic,
  }
}

function readNumber(name: string, text: string, { isWhole, min }: { isWhole: boolean; min: number }): number {
  const value = Number(text)
  const isRight = text.trim() !== '' && Number.isFinite(value) && value >= min
  if (isRight && (!isWhole || Number.isInteger(value))) return value
  throw new Error(`${name} takes a ${isWhole ? 'whole ' : ''}number of at least ${min}`)
}

function parseSetting(text: string): [name: string, value: string] {
  const [, name, value] = /^([A-Z][A-Z0-9_]*)=(.*)$/s.exec(text) ?? []
  if (name === undefined || value === undefined) throw new Error('--setting takes NAME=VALUE, as LANES=0')
  return [name, value]
}
