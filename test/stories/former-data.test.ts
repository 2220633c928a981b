import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { bringUpToDate } from '../../src/embedded/bring-up-to-date.ts'
import { DEMO_DATABASES, DEMO_PASSWORD } from '../../src/embedded/demo.ts'
import { type EmbeddedDatabases, provision } from '../../src/embedded/provision.ts'
import { type EmbeddedServer, startEmbeddedServer } from '../../src/embedded/server.ts'
import type { ServerAddress } from '../../src/lib/postgres/pg.ts'
import { makeThrowawayDirectory, throwawaySettings } from '../../src/testing/throwaway.ts'
import { property } from '../support/application.ts'
import { createRole, dropAll, query, superuserUrl, urlFor } from '../support/database.ts'
import { makeFormerCatalog, makeFormerTenantDatabase, rowsWithLineage } from '../support/former-release.ts'
import { Caller } from '../support/gateway.ts'
import { GatewayProcess, removeDemo } from '../support/gateway-process.ts'
import { createMigrated } from '../support/migrated.ts'
import { addressOf } from '../support/tenant-database.ts'

const started: GatewayProcess[] = []
let directory: string

type Login = Pick<ServerAddress, 'user' | 'password'>

/** Runs the server of `.freehold`, as a start finds it, while `work` runs. */
async function withServer<T>(
  work: (databases: EmbeddedDatabases, superuser: Login) => Promise<T>,
): Promise<T> {
  const server: EmbeddedServer = await startEmbeddedServer({
    dataDir: join(directory, '.freehold/postgres'),
    settings: throwawaySettings,
  })
  try {
    const { user, password } = server.superuser
    const superuser = { user, password: async () => password.reveal() }
    return await work(await provision(server, join(directory, '.freehold'), DEMO_DATABASES), superuser)
  } finally {
    await server.stop()
  }
}

async function urlOf({ host, port, user, database, password }: ServerAddress): Promise<string> {
  return `postgresql://${user}:${await password()}@${host}:${port}/${database}?sslmode=disable`
}

function start(): GatewayProcess {
  const gateway = new GatewayProcess({ cwd: directory, env: { PORT: '0' } })
  started.push(gateway)
  return gateway
}

beforeAll(async () => {
  directory = await makeThrowawayDirectory()
  await withServer(async ({ catalog, sharedOwner, dedicated }) => {
    await makeFormerCatalog(await urlOf(catalog))
    for (const address of [sharedOwner, ...dedicated.values()])
      await makeFormerTenantDatabase(await urlOf(address))
  })
})
afterEach(async () => {
  for (const gateway of started.splice(0)) await gateway.end('SIGKILL')
})
afterAll(async () => {
  await removeDemo(directory)
  await dropAll()
})

describe('data in .freehold/ of the release before lineages', () => {
  test('is migrated by a start, tenant databases included', async () => {
    const gateway = start()
    const [, url = '', token = ''] = await gateway.until(
      /Freehold is running at (\S+)\n\n {2}Operator token +(\S+)/,
    )
    expect(gateway.stdout).toMatch(/"msg":"demo_initech: applied core\//)
    const caller = new Caller(url, token)
    for (const code of ['acme-corp', 'initech']) {
      const login = { email: `admin@${code}.example`, password: DEMO_PASSWORD }
      const { status, body } = await caller.call('GET', '/api/v1/places', {
        token: await caller.login(code, login),
      })
      expect([status, body.data.length > 0]).toEqual([200, true])
    }
    expect(await gateway.end('SIGINT')).toBe(0)
    await withServer(async ({ catalog, sharedOwner, dedicated }) => {
      for (const address of [catalog, sharedOwner, ...dedicated.values()])
        expect(await rowsWithLineage(await urlOf(address)), address.database).toBeGreaterThan(0)
    })
  })

  test('with a dedicated database is validated again before the start reports success', async () => {
    await withServer(async ({ dedicated }, superuser) => {
      const address = dedicated.get('demo_initech')
      if (address === undefined) throw new Error('no such database')
      const asSuperuser = await urlOf({ ...address, user: superuser.user, password: superuser.password })
      const kept = new Map<string, string>()
      for (const table of ['residence', 'users', 'roles', 'role_permissions', 'user_roles']) {
        const [row] = await query<{ rows: string }>(
          asSuperuser,
          `SELECT jsonb_agg(to_jsonb(t))::text AS rows FROM public.${table} t`,
        )
        kept.set(table, row?.rows ?? '[]')
      }
      await query(asSuperuser, 'DROP SCHEMA public CASCADE')
      await query(asSuperuser, 'CREATE SCHEMA public AUTHORIZATION pg_database_owner')
      await makeFormerTenantDatabase(await urlOf(address))
      for (const [table, rows] of kept)
        await query(
          asSuperuser,
          `INSERT INTO public.${table} SELECT * FROM jsonb_populate_recordset(NULL::public.${table}, $1::jsonb)`,
          [rows],
        )
    })
    const gateway = start()
    const [, url = '', token = ''] = await gateway.until(
      /Freehold is running at (\S+)\n\n {2}Operator token +(\S+)/,
    )
    const caller = new Caller(url, token)
    const { body } = await caller.operator('GET', '/tenants')
    const initech = body.data.find(({ code }: { code: string }) => code === 'initech')
    expect(initech.database).toMatchObject({
      status: 'active',
      schemaVersion: { core: expect.any(String), application: expect.any(String) },
    })
    await caller.login('initech', { email: 'admin@initech.example', password: DEMO_PASSWORD })
    expect(gateway.stdout).not.toMatch(/"status":503/)
    expect(await gateway.end('SIGINT')).toBe(0)
  })

  const EDITED = "UPDATE freehold_migrations SET hash = 'edited' WHERE id = '0000_core'"
  const DIFFERS = /core\/0000_core differs from the one that was applied/
  const START_OVER = /To start over, which deletes the data: npm run demo:reset/

  test('that differs from what the migrations create is refused, with advice how to start over', async () => {
    await withServer(async ({ sharedOwner }) => query(await urlOf(sharedOwner), EDITED))
    const gateway = start()
    expect(await gateway.ended).toBe(78)
    expect(gateway.stderr).toMatch(DIFFERS)
    expect(gateway.stderr).toMatch(START_OVER)
  })

  test('in a dedicated database that differs is refused too', async () => {
    const role = await createRole()
    const database = await createMigrated(role.name, property)
    await query(superuserUrl(database), EDITED)
    const address = addressOf(urlFor({ role, database }))
    const refusal = bringUpToDate([address], property, () => undefined)
    await expect(refusal).rejects.toMatchObject({ name: 'EmbeddedServerError', code: 'DATA_UNUSABLE' })
    await expect(refusal).rejects.toThrow(DIFFERS)
    await expect(refusal).rejects.toThrow(START_OVER)
  })
})
