import { eq, sql } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Administrator, lockRoles, openAdministrator } from '../../src/catalog/servers/administrators.ts'
import { claimServerChecks, recordServerCheck } from '../../src/catalog/servers/checks.ts'
import { type ServerRow, servers } from '../../src/catalog/servers/schema.ts'
import { addServer, changeServer, listServers, removeServer } from '../../src/catalog/servers/servers.ts'
import type { CatalogTx } from '../../src/catalog/store.ts'
import type { Tenant } from '../../src/catalog/tenants.ts'
import { parseConnectionString } from '../../src/lib/postgres/connection-string.ts'
import { EgressPolicy } from '../../src/lib/postgres/egress.ts'
import { Secret } from '../../src/lib/secret.ts'
import { registerDatabase } from '../../src/operations/register-database.ts'
import { dropAll } from '../support/database.ts'
import { openCatalog, operator, registration, type TestCatalog } from './catalog.ts'

let catalog: TestCatalog
beforeAll(async () => {
  catalog = await openCatalog()
  await catalog.vault.init()
})
afterAll(async () => {
  await catalog.close()
  await dropAll()
})

let made = 0
function administratorAt(host: string, user = 'admin'): Administrator {
  const text = `postgresql://${user}:pass-of-${host}@${host}:5432/postgres`
  const target = { ...parseConnectionString(text), sslMode: 'verify-full' as const }
  return { connectionString: new Secret(text), target, caCertificate: null, systemIdentifier: null }
}
async function newServer(user?: string): Promise<ServerRow> {
  const name = `db-${made++}.example`
  const settings = { name, region: null, capacity: 10, status: 'active' as const }
  const administrator = administratorAt(name, user)
  return rowOf(await addServer(catalog.store, catalog.vault, { settings, administrator, actor: operator }))
}
async function rowOf(id: string): Promise<ServerRow> {
  const [row] = await catalog.store.db.select().from(servers).where(eq(servers.id, id))
  if (row === undefined) throw new Error('no server')
  return row
}

it('gives each server that is due to one replica, and not again before it is due', async () => {
  const all = [await newServer(), await newServer(), await newServer(), await newServer(), await newServer()]
  const due = { minAgeMs: 60_000, without: [], limit: 2 }
  const claim = () => claimServerChecks(catalog.store, due)
  const claimed = (await Promise.all([claim(), claim(), claim(), claim()])).flat().map(({ id }) => id)
  // Claims skip rows that another claim has locked, so take what is left, too.
  for (let more = await claim(); more.length > 0; more = await claim())
    claimed.push(...more.map(({ id }) => id))
  expect(claimed.toSorted()).toEqual(all.map(({ id }) => id).toSorted())
  const [first] = all
  const without = all.slice(1).map(({ id }) => id)
  const again = await claimServerChecks(catalog.store, { minAgeMs: 0, without, limit: 9 })
  expect(again.map(({ id }) => id)).toEqual([first?.id])
})

it('records no finding of a check that is not the latest, or of a server that was changed', async () => {
  const { id } = await newServer()
  const without: string[] = []
  const claim = async () => {
    const all = await claimServerChecks(catalog.store, { minAgeMs: 0, without, limit: 100 })
    const own = all.find((row) => row.id === id)
    if (own === undefined) throw new Error('not claimed')
    return own
  }
  const code = async () => (await rowOf(id)).lastErrorCode
  const fault = { code: 'CONNECTION_REFUSED', words: null } as const
  const before = await claim()
  const latest = await claim()
  await recordServerCheck(catalog.store, before, fault)
  expect(await code()).toBeNull()
  await recordServerCheck(catalog.store, latest, fault)
  expect(await code()).toBe('CONNECTION_REFUSED')
  const change = { id, settings: {}, administrator: administratorAt('other.example'), actor: operator }
  await changeServer(catalog.store, catalog.vault, change)
  expect(await code()).toBeNull()
  await recordServerCheck(catalog.store, latest, fault)
  expect(await code()).toBeNull()
})

it('seals a connection string for one server and one version of it', async () => {
  const [one, other] = [await newServer(), await newServer()]
  const open = (row: ServerRow) => openAdministrator(catalog.vault, row).password.reveal()
  expect(open(one)).toBe(`pass-of-${one.host}`)
  expect(() => open({ ...one, sealedConnectionString: other.sealedConnectionString })).toThrow()
  expect(() => open({ ...one, rowVersion: 2 })).toThrow()
})

it('lists the servers by id, a page at a time', async () => {
  await newServer()
  await newServer()
  const { data, nextCursor } = await listServers(catalog.store, { limit: 1 })
  const rest = await listServers(catalog.store, { limit: 200, cursor: nextCursor ?? '' })
  const ids = [...data, ...rest.data].map(({ id }) => id)
  expect(ids.length).toBeGreaterThan(2)
  expect(ids).toEqual(ids.toSorted())
  await expect(listServers(catalog.store, { limit: 1, cursor: 'x' })).rejects.toMatchObject({
    code: 'INVALID_CURSOR',
  })
})

/**
 * Begins `work` inside a transaction that has done `first`, and commits when `work` waits for it or has ended. Returns how `work` has
 * ended.
 */
async function during(first: (tx: CatalogTx) => Promise<unknown>, work: () => Promise<unknown>) {
  let end: unknown = null
  let ended = Promise.resolve()
  await catalog.store.transaction(async (tx) => {
    await first(tx)
    const note = (result: unknown) => {
      end = result
    }
    ended = work().then(note, note)
    const waits = sql`select from pg_locks where locktype = 'advisory' and not granted
      and database = (select oid from pg_database where datname = current_database())`
    const isOver = async () => end !== null || (await catalog.store.db.execute(waits)).rowCount === 1
    await expect.poll(isOver, { timeout: 60_000 }).toBe(true)
  })
  await ended
  return end
}

describe('operators who do two things at once', () => {
  let tenant: Tenant
  let server: ServerRow
  beforeEach(async () => {
    tenant = await catalog.addTenant(`at-once-${made++}`)
    server = await newServer()
  })
  const connectionString = (user: string) => `postgresql://${user}:secret@${server.host}:5432/data`
  const put = (user: string) => async (tx: CatalogTx) => {
    await lockRoles(tx, 'shared')
    const given = registration({ connectionString: new Secret(connectionString(user)) })
    return catalog.registry.put(tx, { tenantId: tenant.id, registration: given, actor: operator })
  }

  it('a server gets no administrator whom a registration is about to make the role of a tenant', async () => {
    const administrator = administratorAt(server.host, 'both')
    const change = { id: server.id, settings: {}, administrator, actor: operator }
    const end = await during(put('both'), () => changeServer(catalog.store, catalog.vault, change))
    expect(end).toMatchObject({ code: 'VALIDATION_FAILED' })
    const settings = { name: 'both', region: null, capacity: 1, status: 'active' as const }
    const added = addServer(catalog.store, catalog.vault, { settings, administrator, actor: operator })
    await expect(added).rejects.toMatchObject({ code: 'VALIDATION_FAILED' })
  })

  it('a tenant gets no role that is about to become the administrator of its server', async () => {
    const become = async (tx: CatalogTx) => {
      await lockRoles(tx, 'exclusive')
      await tx.update(servers).set({ userName: 'both' }).where(eq(servers.id, server.id))
    }
    const { connectionString: _1, sslMode: _2, caCertificate: _3, ...given } = registration()
    const body = { ...given, connectionString: connectionString('both') }
    const end = await during(become, () =>
      registerDatabase(
        {
          ...{ store: catalog.store, vault: catalog.vault, registry: catalog.registry },
          ...{ policy: new EgressPolicy(null), sslModeDefault: 'verify-full' },
          ...{ ownAddresses: [], wake: () => undefined },
        },
        { tenantId: tenant.id, registration: body, actor: operator },
      ),
    )
    expect(end).toMatchObject({ code: 'VALIDATION_FAILED' })
  })

  it('a server stays if a registration of a database there is about to be committed', async () => {
    const end = await during(put('u'), () => removeServer(catalog.store, server.id, operator))
    expect(end).toMatchObject({ code: 'SERVER_IN_USE' })
    expect(await rowOf(server.id)).toMatchObject({ id: server.id })
  })
})
