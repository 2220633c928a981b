import type { ReportSpread } from './json.ts'

interface Titled {
  readonly row: string
  readonly placement: string
  readonly detail?: string | null
  readonly connections: number
}

export function titleOf({ row, placement, detail = null, connections }: Titled): string {
  const counted = `${connections} ${connections === 1 ? 'connection' : 'connections'}`
  return [row, placement, ...(detail === null ? [] : [detail]), counted].join(', ')
}

/** A ratio with the least and the greatest one. */
export function spreadText({ median, min, max }: ReportSpread): string {
  return `${shown(median, 2)} (${shown(min, 2)}–${shown(max, 2)})`
}

/** Requests a second. */
export function rateText(perSecond: number | null): string {
  return shown(perSecond, perSecond !== null && perSecond < 100 ? 1 : 0)
}

/** A dash for what is not known. */
export function shown(value: number | null, digits: number): string {
  return value === null || !Number.isFinite(value) ? '–' : value.toFixed(digits)
}
