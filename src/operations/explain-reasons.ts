import { summarizeError } from '../catalog/databases/entry-view.ts'
import type { Explanation, Found } from './explanation.ts'

/** The steps from the tenant to its rows, each with the mend where one is needed. */
export function reasonsFor(found: Found, { read, write }: Explanation['would']): string[] {
  return [
    statusOf(found),
    placementOf(found),
    ...databasesOf(found),
    poolOf(found),
    ...breakerOf(found),
    ...accessOf(found),
    ...schemaOf(found),
    `So a read gets ${told(read)}, and a write gets ${told(write)}.`,
  ]
}

function told(outcome: string): string {
  return outcome === 'ok' ? 'its answer' : outcome
}

function statusOf({ route: { code, status } }: Found): string {
  if (status === 'ACTIVE') return 'The tenant is ACTIVE.'
  return `The tenant is INACTIVE: for its callers it does not exist. Serve it again: freehold tenants activate ${code}`
}

function placementOf({ route: { placement, epoch, database } }: Found): string {
  if (placement === 'shared') return `Its rows are in the shared database, at epoch ${epoch}.`
  return `Its rows are in its own database ${database?.databaseName ?? ''}, at epoch ${epoch}.`
}

function databasesOf({ route: { code }, current, candidate }: Found): string[] {
  const entries = [
    { name: 'Its registered database', entry: current },
    { name: 'The candidate that would replace it', entry: candidate },
  ]
  return entries.flatMap(({ name, entry }) => {
    if (entry === null) return []
    const error = summarizeError(entry)
    const why = error === null ? '' : `. Its last error: ${error.message} (${error.code})`
    const move = entry.moveRequired ? ', and the tenant must move there first' : ''
    const again = entry.status === 'failed' ? `. Validate it again: freehold databases validate ${code}` : ''
    return [`${name} is ${entry.status}${move}${why}${again}.`]
  })
}

function poolOf({ view: { open, idle, waiting, lanes, server } }: Found): string {
  if (open === 0 && waiting === 0) return 'This gateway has no connection to it. A request opens one.'
  const shared = lanes > 0 ? ` (${lanes} are lanes)` : ''
  return `This gateway has ${open} connections to ${server}${shared}; ${idle} are idle, and ${waiting} requests wait.`
}

function breakerOf({ view: { breaker, backoffMs } }: Found): string[] {
  if (breaker === 'closed') return []
  const next =
    backoffMs > 0 ? `The next attempt is in ${Math.ceil(backoffMs / 1_000)} s.` : 'An attempt may begin.'
  return [`The last attempts to connect failed, so the breaker is ${breaker}. ${next}`]
}

function accessOf({ access }: Found): string[] {
  if (access === 'read-only') return ['The database is read-only: it allows reads but no changes.']
  return access === 'down' ? ['The database does not answer.'] : []
}

function schemaOf({ schema }: Found): string[] {
  if (schema === 'behind')
    return [
      'Its schema lacks migrations: an endpoint that needs them answers TENANT_SCHEMA_OUT_OF_DATE. Apply them: freehold migrations run',
    ]
  if (schema === 'failed') return ['Its last migration failed. Try it again: freehold migrations run']
  return schema === 'drifted' ? ['Its schema differs from what its migrations create.'] : []
}
