import { styleText } from 'node:util'
import { fieldsOf, type Layout, tableOf } from './layout.ts'
import type { Page } from './pages.ts'
import { plain, plainJson } from './plain-text.ts'

/** Only states have colours: what is well, what is on its way, and what needs work. */
const COLOURS = {
  green: ['ACTIVE', 'active', 'succeeded', 'current', 'ok', 'done'],
  yellow: [
    'pending_validation',
    'queued',
    'running',
    'behind',
    'degraded',
    'cancelled',
    'waiting',
    'paused',
    'skipped',
  ],
  red: ['INACTIVE', 'inactive', 'failed', 'unreachable', 'drifted', 'unavailable', 'halted', 'open'],
} as const
const colourOf: ReadonlyMap<string, keyof typeof COLOURS> = new Map(
  Object.entries(COLOURS).flatMap(([colour, values]) =>
    values.map((value) => [value, colour as keyof typeof COLOURS] as const),
  ),
)

export function printJson(document: unknown): void {
  process.stdout.write(`${plainJson(document)}\n`)
}

export function printPage({ data, nextCursor }: Page, columns: readonly string[]): void {
  if (data.length === 0) {
    note('Nothing found')
    return
  }
  const { lines, hidden } = tableOf(data, columns, layoutOfTerminal())
  process.stdout.write(`${lines.join('\n')}\n`)
  if (hidden.length > 0) note(`Left out: ${hidden.join(', ')}. Use a wider terminal, or --json`)
  if (nextCursor !== null) note('There is more: --all, or a greater --limit')
}

/** The value of the field `sentences` is a list, printed last with a sentence in each line. */
export function printFields(value: unknown, sentences?: string): void {
  const { [sentences ?? '']: told, ...fields } = value as Record<string, unknown>
  const lines = fieldsOf(sentences === undefined ? value : fields, layoutOfTerminal())
  if (Array.isArray(told)) lines.push('', ...told.map((sentence) => plain(String(sentence))))
  process.stdout.write(`${lines.join('\n')}\n`)
}

/** For the person at the terminal. A program that reads stdout does not get it. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`)
}

function layoutOfTerminal(): Layout {
  const { isTTY, columns } = process.stdout
  return { width: isTTY ? columns || 80 : Number.POSITIVE_INFINITY, paint }
}

function paint(shown: string, value: string): string {
  const colour = colourOf.get(value)
  return colour === undefined ? shown : styleText(colour, shown, { stream: process.stdout })
}
