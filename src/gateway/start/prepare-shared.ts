import type { GuardedClient } from '../../lib/postgres/guarded-client.ts'
import type { PhysicalIdentity } from '../../lib/postgres/pg.ts'
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
import { prepareSchema, type SchemaPlan, withClient } from './prepare-schema.ts'
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
 * Brings the shared database's schema up to date if the plan says so. Proves that it isolates tenants and that the serving role cannot
 * bypass that. A database that lacks migrations serves what it can until a migration run brings it up to date.
 * @throws StartRefusedError
 */
export function prepareShared(plan: SharedPlan): Promise<PreparedShared> {
  return refusing('SHARED_DATABASE_URL', async () => {
    const { serving, owner } = plan
    await withClient(serving, async (client) => {
      await assertUsable(client)
      await assertOrdinaryRole(client)
    })
    if (owner !== null) await withClient(owner, assertUsable)
    const { identity, missing } = await prepareSchema(plan)
    // The checks below need the tables of this release.
    if (missing > 0) return { identity, isBehind: true }
    await assertServable(plan)
    return { identity, isBehind: false }
  })
}

async function assertServable(plan: SharedPlan): Promise<void> {
  const { serving, owner, tables } = plan
  const lost = await withClient(serving, async (client) => {
    await assertDeclared(client, plan)
    await assertIsolation(client, tables)
    if (owner === null) await assertOperable(client, plan)
    return findLostPromises(client)
  })
  if (owner !== null) await withClient(owner, (client) => assertOperable(client, plan))
  warnOfLostPromises(lost, plan)
}

async function assertOrdinaryRole(client: GuardedClient): Promise<void> {
  const violations = await findRoleViolations(client)
  if (violations.length > 0) {
    throw new StartRefusedError(
      'ROLE_BYPASSES_RLS',
      'its role is superuser or BYPASSRLS, or may become such a role',
    )
  }
}

/**
 * Requests to a declared table that does not exist would fail with 500. A table that is not declared would never be moved, exported or
 * erased. If a newer release has migrated the database, that release may declare the table.
 */
async function assertDeclared(client: GuardedClient, plan: SharedPlan): Promise<void> {
  const { ahead } = await schemaState(client, plan.migrations)
  const isAhead = ahead.length > 0
  const { missing, undeclared } = await findTableDifferences(client, plan.tables)
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

async function assertIsolation(client: GuardedClient, tables: DeclaredTables): Promise<void> {
  const [violation] = await findIsolationViolations(client, { everything: true, tables })
  if (violation !== undefined) {
    throw new StartRefusedError(
      'SCHEMA_DRIFTED',
      `a rule of isolation is broken: ${violation.rule} at ${violation.object}${repairOf(violation)}`,
    )
  }
}

/** A GRANT on all tables breaks this rule. The owner repairs it with one call. */
function repairOf({ rule, object }: Violation): string {
  return rule === 'reference-writable'
    ? `. As its owner: SELECT public.freehold_share('public.${object}')`
    : ''
}

/** Only the role that owns the tables can create, move and seal tenants. */
async function assertOperable(client: GuardedClient, { owner }: SchemaPlan): Promise<void> {
  const { rows } = await client.query<{ owns: boolean }>(
    `SELECT pg_catalog.pg_has_role(session_user, c.relowner, 'USAGE') AS owns
       FROM pg_catalog.pg_class AS c WHERE c.oid = 'public.residence'::pg_catalog.regclass`,
  )
  if (rows[0]?.owns === true) return
  throw new StartRefusedError(
    'PERMISSION_MISSING',
    owner === null
      ? 'its role does not own the tables: set SHARED_MIGRATION_DATABASE_URL to the role that does'
      : 'the role of SHARED_MIGRATION_DATABASE_URL does not own the tables',
  )
}

function warnOfLostPromises(lost: readonly string[], { serving, log }: SchemaPlan): void {
  if (lost.length === 0) return
  const { user, database } = serving
  log.warn({ lost, role: user, database }, 'the serving role can bypass the seals of tenants')
}
