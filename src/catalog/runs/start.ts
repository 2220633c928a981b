import { and, eq, inArray, or } from 'drizzle-orm'
import { fail, invalidField } from '../../errors.ts'
import { isUuid, newId } from '../../lib/ids.ts'
import { type Actor, recordAudit } from '../audit/entries.ts'
import { type SchemaVersion, tenantDatabases, tenants } from '../schema.ts'
import type { CatalogStore, CatalogTx } from '../store.ts'
import { advance } from './advance.ts'
import { firstOutOfOrder, type RunOptions, waveSizes } from './options.ts'
import { migrationRunDatabases, migrationRuns } from './schema.ts'

export interface NewRun {
  readonly target: SchemaVersion
  readonly needs: readonly string[]
  readonly options: RunOptions
  /** Only the databases of these tenants, by code or id. Null for all databases. */
  readonly tenants: readonly string[] | null
  readonly actor: Actor
}

type Member = Pick<typeof migrationRunDatabases.$inferInsert, 'databaseId' | 'tenantId' | 'server'>

/** A statement can have at most 65,535 parameters. */
const AT_ONCE = 1_000
const SHARED_MEMBER: Member = { databaseId: null, tenantId: null, server: '' }

/**
 * Starts a run over the shared database and the dedicated ones that serve a tenant, and queues the first jobs. Returns its id.
 * @throws PublicError RUN_IN_PROGRESS, VALIDATION_FAILED
 */
export function startRun(
  store: CatalogStore,
  { target, needs, options, tenants: named, actor }: NewRun,
): Promise<string> {
  const wrong = firstOutOfOrder(options.waves)
  if (wrong >= 0) throw invalidField(`/waves/${wrong}`, 'must be greater than the percent before it')
  return store.transaction(async (tx) => {
    const id = newId()
    const waves = await wavesFor(tx, options, named)
    const total = waves.reduce((sum, wave) => sum + wave.length, 0)
    const counts = waves.map(({ length: size }) => ({ size, done: 0, failed: 0 }))
    const [run] = await tx
      .insert(migrationRuns)
      .values({ id, target, needs: [...needs], options, waves: counts, total })
      .onConflictDoNothing()
      .returning()
    if (run === undefined) throw fail('RUN_IN_PROGRESS')
    const members = waves.flatMap((wave, at) =>
      wave.map((each) => ({ ...each, id: newId(), runId: id, wave: at })),
    )
    for (let at = 0; at < members.length; at += AT_ONCE)
      await tx.insert(migrationRunDatabases).values(members.slice(at, at + AT_ONCE))
    const after = { runId: id, target, total, ...options, ...(named !== null && { tenants: named }) }
    await recordAudit(tx, { actor, action: 'migration.run', tenantId: null, after })
    await advance(tx, run)
    return id
  })
}

async function wavesFor(
  tx: CatalogTx,
  options: RunOptions,
  named: readonly string[] | null,
): Promise<Member[][]> {
  const chosen = named === null ? null : await tenantsOf(tx, named)
  const serving = and(
    eq(tenantDatabases.slot, 'current'),
    inArray(tenantDatabases.status, ['active', 'inactive']),
    chosen === null
      ? undefined
      : inArray(
          tenantDatabases.tenantId,
          chosen.map(({ id }) => id),
        ),
  )
  const { id, tenantId, host, port } = tenantDatabases
  const rows = await tx.select({ id, tenantId, host, port }).from(tenantDatabases).where(serving).orderBy(id)
  const dedicated = rows.map((row) => ({
    ...{ databaseId: row.id, tenantId: row.tenantId },
    server: `${row.host}:${row.port}`,
  }))
  let taken = 0
  const waves: Member[][] = waveSizes(dedicated.length, options).map((size) => {
    taken += size
    return dedicated.slice(taken - size, taken)
  })
  const isSharedIn = chosen === null || chosen.some(({ placement }) => placement === 'shared')
  if (!isSharedIn || options.shared === 'skip') return waves
  return options.shared === 'first' ? [[SHARED_MEMBER], ...waves] : [...waves, [SHARED_MEMBER]]
}

async function tenantsOf(tx: CatalogTx, named: readonly string[]) {
  const names = named.map((name) => name.trim().toLowerCase())
  const { id, code, placement } = tenants
  const wanted = or(inArray(code, names), inArray(id, names.filter(isUuid)))
  const found = await tx.select({ id, code, placement }).from(tenants).where(wanted)
  const known = new Set(found.flatMap((tenant) => [tenant.id, tenant.code]))
  const unknown = names.findIndex((name) => !known.has(name))
  if (unknown >= 0) throw invalidField(`/tenants/${unknown}`, 'names no tenant')
  return found
}
