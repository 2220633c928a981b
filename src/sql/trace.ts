import { statementName } from '../pools/wire/tenant-unit.ts'

/** One unit that was sent. It contains neither values nor the statement's text, which may contain values. */
export interface TracedUnit {
  readonly tenantId: string
  /** The prepared statement's name in the server (`pg_prepared_statements`). Null if it has no name. */
  readonly statement: string | null
  /** The first word of the statement. Null if the text begins with a comment, which may contain values. */
  readonly command: string | null
  readonly durationMs: number
}

export type SqlTrace = (unit: TracedUnit) => void

/** The unit that a trace reports. */
export interface Traced {
  readonly trace: SqlTrace
  readonly tenantId: string
  readonly text: string
  readonly isNamed: boolean
}

/** Runs a unit and reports it to the trace, also if it fails. */
export async function traced<T>(
  { trace, tenantId, text, isNamed }: Traced,
  run: () => Promise<T>,
): Promise<T> {
  const begunAt = performance.now()
  try {
    return await run()
  } finally {
    const durationMs = Math.round((performance.now() - begunAt) * 100) / 100
    const name = isNamed ? statementName(text) : ''
    const command = /^[\s(]*([a-z]+)\b/i.exec(text)?.[1]?.toLowerCase() ?? null
    trace({ tenantId, statement: name === '' ? null : name, command, durationMs })
  }
}
