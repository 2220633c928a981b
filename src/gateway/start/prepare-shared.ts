import type { PhysicalIdentity, ServerAddress } from '../../lib/postgres/pg.ts'
import { schemaState } from '../../migrations/drift.ts'
import { assertUsable } from '../../pools/wire/sessionless.ts'
import {
  type DeclaredTables,
  findIsolationViolations,
  findLostPromises,
  findRoleViolations,
  findTableDifferences,
  type Violation,
} from '../../residence/isolation.ts'
import { addressesOf, prepareSchema, type SchemaPlan, withClient } from './prepare-schema.ts'
import { refusing, StartRefusedError } from './start-refusals.ts'

export interface SharedPlan extends SchemaPlan {
  readonly tables: DeclaredTables
}

export interface PreparedShared {
  readonly identity: PhysicalIdentity
  /** The database lacks migrations of this release. */
  readonly isBehind: boolean
}

/**
 * Brings the shared database's schema up to date where the plan says so. Proves its isolation, and that the serving role cannot
 * get around it. A database that is behind serves what it can until a migration run brings it up to date.
 * @throws StartRefusedError
 */
export function prepareShared(plan: SharedPlan): Promise<PreparedShared> {
  return refusing('SHARED_DATABASE_URL', async () => {
    for (const address of addressesOf(plan)) await withClient(address, assertUsable)
    await assertOrdinaryRole(plan.serving)
    const { identity, missing } = await prepareSchema(plan)
    // The checks below demand the tables of this release.
    if (missing > 0) return { identity, isBehind: true }
    await assertDeclared(plan)
    await assertIsolation(plan.serving, plan.tables)
    await assertOperable(plan)
    await warnOfLostPromises(plan)
    return { identity, isBehind: false }
  })
}

async function assertOrdinaryRole(address: ServerAddress): Promise<void> {
  const violations = await withClient(address, findRoleViolations)
  if (violations.length > 0) {
    throw new StartRefusedError('ROLE_BYPASSES_RLS', 'its role is superuser or BYPASSRLS, or may become one')
  }
}

/**
 * A declared table that does not exist would make every request to it fail with 500. A table that is not declared would never be
 * moved, exported or erased. Where a newer release has migrated the database, the table may be declared by that release.
 */
async function assertDeclared(plan: SharedPlan): Promise<void> {
  const { missing, undeclared, isAhead } = await withClient(plan.serving, async (client) => {
    const { ahead } = await schemaState(client, plan.migrations)
    return { ...(await findTableDifferences(client, plan.tables)), isAhead: ahead.length > 0 }
  })
  const list = (names: readonly string[]) => names.map((name) => `"${name}"`).join(', ')
  if (missing.length > 0)
    throw new StartRefusedError(
      'SCHEMA_DRIFTED',
      `no migration has created ${list(missing)}, which the application declares. Run: freehold schema check`,
    )
  if (undeclared.length > 0 && !isAhead)
    throw new StartRefusedError(
      'SCHEMA_DRIFTED',
      `it has ${list(undeclared)}, which the application does not declare. Declare it, or drop it. Run: freehold schema check`,
    )
}

async function assertIsolation(address: ServerAddress, tables: DeclaredTables): Promise<void> {
  const [violation] = await withClient(address, (client) =>
    findIsolationViolations(client, { everything: true, tables }),
  )
  if (violation !== undefined) {
    throw new StartRefusedError(
      'SCHEMA_DRIFTED',
      `its isolation does not hold: ${violation.rule} at ${violation.object}${repairOf(violation)}`,
    )
  }
}

/** A grant to all tables at once breaks this rule. The owner repairs it with one call. */
function repairOf({ rule, object }: Violation): string {
  return rule === 'reference-writable'
    ? `. As its owner: SELECT public.freehold_share('public.${object}')`
    : ''
}

/** Only the role that owns the tables can create, move and seal tenants. */
async function assertOperable({ owner, serving }: SchemaPlan): Promise<void> {
  const { rows } = await withClient(owner ?? serving, (client) =>
    client.query<{ owns: boolean }>(
      `SELECT pg_catalog.pg_has_role(session_user, c.relowner, 'USAGE') AS owns
         FROM pg_catalog.pg_class AS c WHERE c.oid = 'public.residence'::pg_catalog.regclass`,
    ),
  )
  if (rows[0]?.owns === true) return
  throw new StartRefusedError(
    'PERMISSION_MISSING',
    owner === null
      ? 'its role does not own the tables: set SHARED_MIGRATION_DATABASE_URL to the role that does'
      : 'the role of SHARED_MIGRATION_DATABASE_URL does not own the tables',
  )
}

async function warnOfLostPromises({ serving, log }: SchemaPlan): Promise<void> {
  const lost = await withClient(serving, findLostPromises)
  if (lost.length === 0) return
  const { user, database } = serving
  log.warn({ lost, role: user, database }, 'the serving role can get around the seal between tenants')
}
