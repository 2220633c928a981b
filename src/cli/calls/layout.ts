import { columnsOf, cut, plain } from './plain-text.ts'

const GAP = 2
/** A column is not made narrower than this while a later column can be left out. */
const LEAST = 10

export interface Layout {
  /** Columns of the terminal. Infinity if the output is not a terminal: then nothing is cut. */
  readonly width: number
  /** Colours a cell by its value. It is called with the padded text. */
  readonly paint: (shown: string, value: string) => string
}

type Row = Readonly<Record<string, unknown>>

/** The value at `database.status`, as text. */
export function cellOf(row: unknown, path: string): string {
  let value = row
  for (const name of path.split('.')) value = (value as Row | null | undefined)?.[name]
  return textOf(value)
}

function textOf(value: unknown): string {
  if (value === null || value === undefined) return '-'
  if (Array.isArray(value)) return value.length === 0 ? '-' : value.map(textOf).join(', ')
  return typeof value === 'object' ? plain(JSON.stringify(value)) : plain(String(value))
}

/** A table that fits. Columns that do not fit are left out from the right, and named at the end. */
export function tableOf(
  rows: readonly unknown[],
  columns: readonly string[],
  { width, paint }: Layout,
): { readonly lines: readonly string[]; readonly hidden: readonly string[] } {
  const cells = rows.map((row) => columns.map((column) => cellOf(row, column)))
  const titles = columns.map(titleOf)
  const natural = titles.map((title, at) =>
    Math.max(columnsOf(title), ...cells.map((row) => columnsOf(row[at] ?? ''))),
  )
  const widths = fitted(natural, width)
  const line = (values: readonly string[], isHead: boolean) =>
    widths
      .map((columnWidth, at) => {
        const value = values[at] ?? ''
        const shown = cut(value, columnWidth)
        const isLast = at === widths.length - 1
        const padded = isLast ? shown : shown + ' '.repeat(columnWidth - columnsOf(shown) + GAP)
        return isHead ? padded : paint(padded, value)
      })
      .join('')
  return {
    lines: [line(titles, true), ...cells.map((row) => line(row, false))],
    hidden: columns.slice(widths.length),
  }
}

/** `schemaVersion.core` → `SCHEMA VERSION CORE` */
function titleOf(column: string): string {
  return column
    .replaceAll('.', ' ')
    .replace(/([a-z])([A-Z])/g, '$1 $2')
    .toUpperCase()
}

/** The widths of the columns that are shown: as many as fit, the widest ones cut. */
function fitted(natural: readonly number[], width: number): number[] {
  const widths = [...natural]
  const total = (of: readonly number[]) => of.reduce((sum, each) => sum + each + GAP, -GAP)
  while (widths.length > 1 && total(widths.map((each) => Math.min(each, LEAST))) > width) widths.pop()
  while (total(widths) > width) {
    const widest = Math.max(...widths)
    if (widest <= 1) break
    widths[widths.indexOf(widest)] = widest - 1
  }
  return widths
}

/** One thing, field by field, with dots for what is inside: `database.status`. Nothing is cut: a new key is shown only once. */
export function fieldsOf(value: unknown, { width, paint }: Layout): string[] {
  const fields = flat(value)
  const widest = Math.max(0, ...fields.map(([name]) => columnsOf(name)))
  const isNarrow = widest + GAP + LEAST > width
  return fields.map(([name, shown]) => {
    const space = isNarrow ? '\n  ' : ' '.repeat(widest - columnsOf(name) + GAP)
    return `${name}${space}${paint(shown, shown)}`
  })
}

function flat(value: unknown, prefix = ''): [string, string][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [[prefix, textOf(value)]]
  return Object.entries(value).flatMap(([name, inner]) => {
    const path = plain(prefix === '' ? name : `${prefix}.${name}`)
    return flat(inner, path)
  })
}
