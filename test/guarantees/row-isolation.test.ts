import { randomUUID } from 'node:crypto'
import type { Client, QueryResult } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findRoleViolations } from '../../src/residence/isolation.ts'
import { createDatabase, createRole, dropAll, query, superuserUrl, urlFor } from '../support/database.ts'
import { migratedTemplate } from '../support/migrated.ts'
import { operatingOn, sealBytes, sealOf } from '../support/seals.ts'
import { withClient } from '../support/tenant-database.ts'

// Tests the database alone, without the gateway. What the database enforces holds even if the gateway has a fault.

const acme = randomUUID()
const globex = randomUUID()
const acmePlace = randomUUID()
const globexPlace = randomUUID()
let database: string

/** The two kinds of serving roles: one that has only rights, and one that owns the tables. */
const urls = { plain: '', owner: '' }

beforeAll(async () => {
  database = await createDatabase({ template: await migratedTemplate('tenant') })
  const [plain, owner] = [await createRole(), await createRole()]
  await query(
    superuserUrl(database),
    `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ${plain.name};
     INSERT INTO residence (tenant_id, epoch, seal)
       VALUES ('${acme}', 7, ${sealBytes(acme, 7)}), ('${globex}', 3, ${sealBytes(globex, 3)});
     INSERT INTO places (tenant_id, id, name) VALUES
       ('${acme}', '${acmePlace}', 'Mill'), ('${globex}', '${globexPlace}', 'Tower');
     INSERT INTO users (tenant_id, id, email, password_hash) VALUES ('${globex}', gen_random_uuid(), 'a@b.c', 'x');
     DO $$ DECLARE t name; BEGIN
       FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
         EXECUTE format('ALTER TABLE public.%I OWNER TO ${owner.name}', t);
       END LOOP; END $$`,
  )
  urls.plain = urlFor({ role: plain, database })
  urls.owner = urlFor({ role: owner, database })
})
afterAll(dropAll)

interface Entry {
  tenant?: string | null
  epoch?: number | null
  write?: boolean | null
  seal?: string | null
}
const sealAt = (tenantId: string, epoch: number) => sealOf({ tenantId, epoch, placement: 'shared' }).reveal()
const seals = new Map<string, string>([
  [acme, sealAt(acme, 7)],
  [globex, sealAt(globex, 3)],
])
const enter = (client: Client, { tenant = acme, epoch = 7, write = true, seal }: Entry = {}) =>
  client.query(
    `SELECT set_config('app.tenant_id', $1, true), set_config('app.seal', $2, true), public.freehold_enter($3, $4)`,
    [tenant, seal === undefined ? seals.get(tenant ?? '') : seal, epoch, write],
  )

/** Runs `fn` after the tenant check, in a transaction that is rolled back. */
const inside = <T>(url: string, entry: Entry, fn: (client: Client) => Promise<T>): Promise<T> =>
  withClient(url, async (client) => {
    await client.query('BEGIN')
    await enter(client, entry)
    return fn(client)
  })
const names = (answer: QueryResult<{ name: string }>) => answer.rows.map((row) => row.name)
const ALL_PLACES = 'SELECT name FROM places ORDER BY name'

describe.each(['plain', 'owner'] as const)('as the %s role, a tenant', (role) => {
  const as = (entry: Entry, fn: (client: Client) => Promise<unknown>) => inside(urls[role], entry, fn)

  test('is served by a role that cannot bypass the policies', async () => {
    expect(await withClient(urls[role], (client) => findRoleViolations(client))).toEqual([])
  })

  test('sees its own rows and no others with any condition', async () => {
    await as({}, async (client) => {
      expect(names(await client.query(ALL_PLACES))).toEqual(['Mill'])
      expect(names(await client.query('SELECT name FROM places WHERE tenant_id = $1', [globex]))).toEqual([])
      expect(names(await client.query('SELECT name FROM places WHERE id = $1', [globexPlace]))).toEqual([])
    })
    await as({ tenant: globex, epoch: 3 }, async (client) => {
      expect(names(await client.query(ALL_PLACES))).toEqual(['Tower'])
    })
  })

  test('changes and deletes no row of another tenant', async () => {
    await as({}, async (client) => {
      expect((await client.query("UPDATE places SET name = 'mine'")).rowCount).toBe(1)
      expect((await client.query('DELETE FROM places WHERE id = $1', [globexPlace])).rowCount).toBe(0)
    })
  })

  test('may not insert a row for another tenant or give a row to it', async () => {
    const insert = 'INSERT INTO places (tenant_id, id, name) VALUES ($1, gen_random_uuid(), $2)'
    await as({}, (client) => client.query(insert, [acme, 'Barn']))
    await expect(as({}, (client) => client.query(insert, [globex, 'Barn']))).rejects.toMatchObject({
      code: '42501',
    })
    const give = as({}, (client) => client.query('UPDATE places SET tenant_id = $1', [globex]))
    await expect(give).rejects.toMatchObject({ code: '42501' })
  })

  test("may not refer to another tenant's row as a parent", async () => {
    const insert =
      'INSERT INTO estates (tenant_id, id, place_id, name) VALUES ($1, gen_random_uuid(), $2, $3)'
    await as({}, (client) => client.query(insert, [acme, acmePlace, 'Flat']))
    const adopt = as({}, (client) => client.query(insert, [acme, globexPlace, 'Flat']))
    await expect(adopt).rejects.toMatchObject({ code: '23503' })
  })

  test('does not learn from a unique index what another tenant has', async () => {
    const insert =
      "INSERT INTO users (tenant_id, id, email, password_hash) VALUES ($1, gen_random_uuid(), 'A@b.c', 'x')"
    await as({}, (client) => client.query(insert, [acme]))
    const twice = as({ tenant: globex, epoch: 3 }, (client) => client.query(insert, [globex]))
    await expect(twice).rejects.toMatchObject({ code: '23505' })
  })

  test('ends with its transaction, on commit and on rollback', async () => {
    await withClient(urls[role], async (client) => {
      expect(names(await client.query(ALL_PLACES))).toEqual([])
      for (const end of ['COMMIT', 'ROLLBACK']) {
        await client.query('BEGIN')
        await enter(client)
        expect(names(await client.query(ALL_PLACES))).toEqual(['Mill'])
        await client.query(end)
        // From now on the setting is '', which must not be read as a uuid (22P02).
        const setting = await client.query("SELECT current_setting('app.tenant_id') AS t")
        expect(setting.rows).toEqual([{ t: '' }])
        expect(names(await client.query(ALL_PLACES))).toEqual([])
        const insert = "INSERT INTO places (tenant_id, id, name) VALUES ($1, gen_random_uuid(), 'x')"
        await expect(client.query(insert, [acme])).rejects.toMatchObject({ code: '42501' })
      }
    })
  })

  test('that was entered outside a transaction is gone with the next statement', async () => {
    await withClient(urls[role], async (client) => {
      await enter(client)
      expect(names(await client.query(ALL_PLACES))).toEqual([])
    })
  })

  test('that entered to read can only read', async () => {
    for (const write of [false, null]) {
      const reading = as({ write }, async (client) => {
        expect(names(await client.query(ALL_PLACES))).toEqual(['Mill'])
        await client.query("UPDATE places SET name = 'x'")
      })
      await expect(reading).rejects.toMatchObject({ code: '25006' })
    }
  })

  test('that entered to read cannot make itself write', async () => {
    const reading = as({ write: false }, (client) => client.query('SET transaction_read_only = off'))
    await expect(reading).rejects.toMatchObject({ code: '25001' })
  })
})

describe.each([true, false])('the entrance, entered with write %s,', (write) => {
  const code = (entry: Entry) =>
    withClient(urls.plain, (client) =>
      enter(client, { ...entry, write }).then(
        () => 'open',
        (error) => error.code,
      ),
    )
  const setGlobex = (state: string) =>
    query(superuserUrl(database), `UPDATE residence SET state = '${state}' WHERE tenant_id = '${globex}'`)

  test('admits a resident at its epoch', async () => {
    expect(await code({})).toBe('open')
  })

  test.each([[randomUUID()], [null]])('raises FH001 for a tenant that does not live here', async (tenant) => {
    expect(await code({ tenant })).toBe('FH001')
  })

  test.each([[6], [8], [null]])('raises FH002 at another epoch: %s', async (epoch) => {
    expect(await code({ epoch })).toBe('FH002')
  })

  test('raises FH003 while the tenant is fenced', async () => {
    await setGlobex('fenced')
    expect(await code({ tenant: globex, epoch: 3 })).toBe('FH003')
    await setGlobex('open')
    expect(await code({ tenant: globex, epoch: 3 })).toBe('open')
  })

  test('raises FH003 for a tenant that has left', async () => {
    await setGlobex('left')
    expect(await code({ tenant: globex, epoch: 3 })).toBe('FH003')
    await setGlobex('open')
  })

  test.each([
    ['of another tenant', () => sealAt(globex, 3)],
    ['of another epoch', () => sealAt(acme, 6)],
    ['of no tenant', () => 'x'],
    ['that is empty', () => ''],
    ['that is none', () => null],
    ['of the owner', () => 'owner'],
  ])('raises FH001 for a seal %s', async (_, seal) => {
    expect(await code({ seal: seal() })).toBe('FH001')
  })

  test('raises FH001 for any seal while the residence has none', async () => {
    const put = (seal: string) =>
      query(superuserUrl(database), `UPDATE residence SET seal = ${seal} WHERE tenant_id = '${globex}'`)
    await put('NULL')
    for (const seal of [undefined, '', null]) {
      expect(await code({ tenant: globex, epoch: 3, ...(seal !== undefined && { seal }) })).toBe('FH001')
    }
    await put(sealBytes(globex, 3))
    expect(await code({ tenant: globex, epoch: 3 })).toBe('open')
  })

  test('names no tenant in its errors', async () => {
    await withClient(urls.plain, async (client) => {
      const tenant = randomUUID()
      const error = await enter(client, { tenant, write }).catch((caught) => caught)
      expect(`${error.message} ${error.detail ?? ''} ${error.hint ?? ''}`).not.toContain(tenant)
    })
  })

  test('shows no rows to later statements when it refuses', async () => {
    await withClient(urls.plain, async (client) => {
      await client.query('BEGIN; SAVEPOINT before')
      await enter(client, { epoch: 8, write }).catch(() => undefined)
      await client.query('ROLLBACK TO before')
      expect(names(await client.query(ALL_PLACES))).toEqual([])
    })
  })
})

test('a writer does not enter above READ COMMITTED, where it would not see a fence', async () => {
  await withClient(urls.plain, async (client) => {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
    await expect(enter(client)).rejects.toMatchObject({ code: '25001' })
  })
})

describe('a session that knows the seal and sets the settings by itself', () => {
  const settle = (client: Client, seal: string) =>
    client.query("SELECT set_config('app.tenant_id', $1, false), set_config('app.seal', $2, false)", [
      globex,
      seal,
    ])
  const setGlobex = (state: string) =>
    query(superuserUrl(database), `UPDATE residence SET state = '${state}' WHERE tenant_id = '${globex}'`)
  const as = (state: string, seal: string, fn: (client: Client) => Promise<void>) =>
    withClient(urls.plain, async (client) => {
      await setGlobex(state)
      try {
        await settle(client, seal)
        await fn(client)
      } finally {
        await setGlobex('open')
      }
    })
  const INSERT = 'INSERT INTO places (tenant_id, id, name) VALUES ($1, gen_random_uuid(), $2)'

  test('can read, but cannot write past a fence', async () => {
    await as('fenced', sealAt(globex, 3), async (client) => {
      expect(names(await client.query(ALL_PLACES))).toEqual(['Tower'])
      await expect(client.query(INSERT, [globex, 'x'])).rejects.toMatchObject({ code: '42501' })
      await expect(client.query("UPDATE places SET name = 'x'")).rejects.toMatchObject({ code: '42501' })
      expect((await client.query('DELETE FROM places')).rowCount).toBe(0)
    })
  })

  test('finds no row where the tenant has left', async () => {
    await as('left', sealAt(globex, 3), async (client) => {
      expect(names(await client.query(ALL_PLACES))).toEqual([])
      await expect(client.query(INSERT, [globex, 'x'])).rejects.toMatchObject({ code: '42501' })
    })
  })

  test.each(['owner', 'x', ''])('finds no row with the seal "%s"', async (seal) => {
    await as('open', seal, async (client) => {
      expect(names(await client.query(ALL_PLACES))).toEqual([])
      await expect(client.query(INSERT, [globex, 'x'])).rejects.toMatchObject({ code: '42501' })
    })
  })
})

describe('the role that owns the tables', () => {
  test('may work on a tenant in any state, also on a tenant that does not live there', async () => {
    await withClient(urls.owner, async (client) => {
      await query(superuserUrl(database), `UPDATE residence SET state = 'left' WHERE tenant_id = '${globex}'`)
      await client.query('BEGIN')
      await client.query(operatingOn(globex))
      expect(names(await client.query(ALL_PLACES))).toEqual(['Tower'])
      expect((await client.query("UPDATE places SET name = 'Spire'")).rowCount).toBe(1)
      const stranger = randomUUID()
      await client.query(operatingOn(stranger))
      expect(names(await client.query(ALL_PLACES))).toEqual([])
      await client.query('INSERT INTO places (tenant_id, id, name) VALUES ($1, gen_random_uuid(), $2)', [
        stranger,
        'x',
      ])
      await client.query('ROLLBACK')
      await query(superuserUrl(database), `UPDATE residence SET state = 'open' WHERE tenant_id = '${globex}'`)
    })
  })

  test('is recognised by the login role: a function that runs as the owner gives no access', async () => {
    await withClient(superuserUrl(database), async (superuser) => {
      await superuser.query(
        `CREATE FUNCTION public.trusting() RETURNS bigint SECURITY DEFINER LANGUAGE sql AS 'SELECT count(*) FROM public.places'`,
      )
      await superuser.query(`ALTER FUNCTION public.trusting() OWNER TO ${new URL(urls.owner).username}`)
    })
    const counted = (url: string) =>
      withClient(url, async (client) => {
        await client.query('BEGIN')
        await client.query(operatingOn(globex))
        return (await client.query<{ trusting: string }>('SELECT public.trusting()')).rows[0]?.trusting
      })
    expect(await counted(urls.owner)).toBe('1')
    expect(await counted(urls.plain)).toBe('0')
  })
})

describe('the residences', () => {
  test('are hidden from a role that was granted all tables, and cannot be changed by it', async () => {
    await withClient(urls.plain, async (client) => {
      expect((await client.query('SELECT FROM residence')).rowCount).toBe(0)
      expect((await client.query("UPDATE residence SET state = 'open'")).rowCount).toBe(0)
      expect((await client.query('DELETE FROM residence')).rowCount).toBe(0)
      await expect(
        client.query('INSERT INTO residence (tenant_id, epoch) VALUES (gen_random_uuid(), 1)'),
      ).rejects.toMatchObject({ code: '42501' })
      expect((await client.query('DELETE FROM freehold_migrations')).rowCount).toBe(0)
    })
  })

  test('cannot be written through the view, whatever is granted', async () => {
    await query(superuserUrl(database), `GRANT ALL ON freehold_here TO ${new URL(urls.plain).username}`)
    await inside(urls.plain, {}, async (client) => {
      await expect(client.query("UPDATE freehold_here SET state = 'open'")).rejects.toMatchObject({
        code: '55000',
      })
    })
  })

  test('show no other row to a condition that reveals its input', async () => {
    await inside(urls.plain, {}, async (client) => {
      await client.query(`CREATE FUNCTION pg_temp.tell(t uuid) RETURNS boolean COST 0.0001 LANGUAGE plpgsql AS
        $$ BEGIN PERFORM set_config('told.it', current_setting('told.it', true) || t::text, true); RETURN true; END $$`)
      await client.query("SELECT set_config('told.it', '', true)")
      await client.query('SELECT FROM freehold_here WHERE pg_temp.tell(tenant_id)')
      const { rows } = await client.query("SELECT current_setting('told.it') AS told")
      expect(rows).toEqual([{ told: acme }])
    })
  })
})

describe('a mover', () => {
  const takeAlone = (client: Client) =>
    client.query(`BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('${acme}', 0))`)
  const fence = (state: string) => `UPDATE residence SET state = '${state}' WHERE tenant_id = '${acme}'`

  test('that locks the tenant makes writers wait until they see its fence; readers are not blocked', async () => {
    await withClient(superuserUrl(database), async (mover) => {
      await takeAlone(mover)
      await inside(urls.plain, { write: false }, async (reader) => {
        expect(names(await reader.query(ALL_PLACES))).toEqual(['Mill'])
      })
      const writer = inside(urls.plain, {}, async () => 'entered').catch((error) => error.code)
      await waitingForLock()
      await mover.query(fence('fenced'))
      await mover.query('COMMIT')
      expect(await writer).toBe('FH003')
      await mover.query(fence('open'))
    })
  })

  test('waits until the current writers have ended', async () => {
    await inside(urls.plain, {}, async (writer) => {
      await withClient(superuserUrl(database), async (mover) => {
        const alone = takeAlone(mover).then(() => 'alone')
        await waitingForLock()
        await writer.query('COMMIT')
        expect(await alone).toBe('alone')
      })
    })
  })

  async function waitingForLock(): Promise<void> {
    const text = `SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`
    await expect.poll(() => query(superuserUrl(database), text)).toHaveLength(1)
  }
})
