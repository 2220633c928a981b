import { eq, gt, type SQL, sql } from 'drizzle-orm'
import { fail } from '../../errors.ts'
import { newId } from '../../lib/ids.ts'
import { databaseError } from '../../lib/postgres/pg.ts'
import { type Actor, recordAudit } from '../audit/entries.ts'
import { idFromCursor, type Page, pageOf } from '../pages.ts'
import { tenantDatabases } from '../schema.ts'
import { type CatalogDb, type CatalogStore, type CatalogTx, catalogErrors } from '../store.ts'
import type { Vault } from '../vault.ts'
import { type Administrator, assertServesNoTenant, lockRoles, sealedColumns } from './administrators.ts'
import { type ServerRow, servers } from './schema.ts'

/** A server with the number of tenants whose databases are on it. */
export type Server = ServerRow & { readonly databases: number }

/** What operators decide about a server. */
export type ServerSettings = Pick<ServerRow, 'name' | 'region' | 'capacity' | 'status'>

export interface ServerChange {
  readonly id: string
  readonly settings: Partial<ServerSettings>
  /** Replaces the present administrator. Null: the present one stays. */
  readonly administrator: Administrator | null
  readonly actor: Actor
}

const UNIQUE_VIOLATION = '23505'

/** The servers by id, a page at a time. @throws PublicError INVALID_CURSOR */
export async function listServers(
  { db }: CatalogStore,
  { limit, cursor }: { limit: number; cursor?: string | undefined },
): Promise<Page<Server>> {
  const after = cursor === undefined ? undefined : gt(servers.id, idFromCursor(cursor))
  const query = db.select().from(servers).where(after)
  const { data, nextCursor } = pageOf(await catalogErrors(query.orderBy(servers.id).limit(limit + 1)), limit)
  return { data: await withCounts(db, data), nextCursor }
}

/** @throws PublicError NOT_FOUND */
export async function findServer({ db }: Pick<CatalogStore, 'db'>, id: string): Promise<Server> {
  const rows = await catalogErrors(db.select().from(servers).where(eq(servers.id, id)))
  const [server] = await withCounts(db, rows)
  if (server === undefined) throw fail('NOT_FOUND')
  return server
}

/** Adds a server. @throws PublicError CONFLICT if its name or address is taken; VALIDATION_FAILED if its role serves a tenant */
export async function addServer(
  store: CatalogStore,
  vault: Vault,
  {
    settings,
    administrator,
    actor,
  }: Omit<ServerChange, 'id'> & { settings: ServerSettings; administrator: Administrator },
): Promise<string> {
  const ref = { id: newId(), rowVersion: 1 }
  const values = { ...settings, ...ref, ...sealedColumns(vault, ref, administrator) }
  await unlessTaken(
    store.transaction(async (tx) => {
      await lockRoles(tx, 'exclusive')
      await assertServesNoTenant(tx, administrator)
      await tx.insert(servers).values(values)
      await recordAudit(tx, { actor, action: 'server.create', tenantId: null, after: audited(values) })
    }),
  )
  return ref.id
}

/** Changes a server. @throws PublicError NOT_FOUND, and as `addServer` */
export async function changeServer(store: CatalogStore, vault: Vault, change: ServerChange): Promise<void> {
  const { id, settings, administrator, actor } = change
  await unlessTaken(
    store.transaction(async (tx) => {
      await lockRoles(tx, 'exclusive')
      const before = await lockServer(tx, id)
      const rowVersion = before.rowVersion + 1
      if (administrator !== null) await assertServesNoTenant(tx, administrator)
      const sealed = administrator && {
        ...sealedColumns(vault, { id, rowVersion }, administrator),
        rowVersion,
      }
      const set = { ...settings, ...sealed }
      await tx
        .update(servers)
        .set({ ...set, updatedAt: sql`now()` })
        .where(eq(servers.id, id))
      const [was, is] = [audited(before), audited({ ...before, ...set })]
      await recordAudit(tx, { actor, action: 'server.update', tenantId: null, before: was, after: is })
    }),
  )
}

/** Forgets a server. @throws PublicError NOT_FOUND; SERVER_IN_USE while a tenant's database is there */
export function removeServer(store: CatalogStore, id: string, actor: Actor): Promise<void> {
  return store.transaction(async (tx) => {
    // A registration waits for this lock too, so none is committed between the count and the removal.
    await lockRoles(tx, 'exclusive')
    const before = await lockServer(tx, id)
    const [counted] = await withCounts(tx, [before])
    if (counted === undefined || counted.databases > 0) throw fail('SERVER_IN_USE')
    await tx.delete(servers).where(eq(servers.id, id))
    await recordAudit(tx, { actor, action: 'server.delete', tenantId: null, before: audited(before) })
  })
}

async function lockServer(tx: CatalogTx, id: string): Promise<ServerRow> {
  const [row] = await tx.select().from(servers).where(eq(servers.id, id)).for('update')
  if (row === undefined) throw fail('NOT_FOUND')
  return row
}

/** A database on a server may be registered under another of the server's names, so its own identifier counts as well. */
async function withCounts(db: Pick<CatalogDb, 'execute'>, rows: readonly ServerRow[]): Promise<Server[]> {
  if (rows.length === 0) return []
  const ids = sql.param(rows.map(({ id }) => id))
  const on = (condition: SQL) => sql`
    select ${servers.id}, ${tenantDatabases.tenantId} from ${servers} join ${tenantDatabases} on ${condition}
     where ${servers.id} = any(${ids}::uuid[])`
  const sameAddress = sql`${tenantDatabases.host} = ${servers.host} and ${tenantDatabases.port} = ${servers.port}`
  const sameServer = sql`${tenantDatabases.systemIdentifier} = ${servers.systemIdentifier}`
  const counted = await catalogErrors(
    db.execute<{ id: string; count: number }>(sql`
      select id, count(*)::int as count from (${on(sameAddress)} union ${on(sameServer)}) as there (id, tenant_id)
       group by id`),
  )
  const counts = new Map(counted.rows.map(({ id, count }) => [id, count]))
  return rows.map((row) => ({ ...row, databases: counts.get(row.id) ?? 0 }))
}

type Audited = ServerSettings & Pick<ServerRow, 'id' | 'host' | 'port' | 'userName' | 'rowVersion'>

/** `version` tells that the connection string was replaced, if nothing else shows it. */
function audited({ id, name, host, port, userName, rowVersion, region, capacity, status }: Audited) {
  return { serverId: id, name, host, port, userName, version: rowVersion, region, capacity, status }
}

async function unlessTaken<T>(work: Promise<T>): Promise<T> {
  return work.catch((cause: unknown) => {
    if (databaseError(cause)?.code !== UNIQUE_VIOLATION) throw cause
    throw fail('CONFLICT', { cause, detail: 'Another server has this name or this address.' })
  })
}
