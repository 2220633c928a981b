import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll, superuserUrl } from '../support/database.ts'
import { createStage, type Stage, startGateway, type TestGateway } from '../support/gateway.ts'
import { withClient } from '../support/tenant-database.ts'

let stage: Stage
let gateway: TestGateway

beforeAll(async () => {
  stage = await createStage()
  gateway = await startGateway(stage)
  for (let i = 0; i < 5; i += 1) await gateway.createTenant()
  await expectLogins(5)
})
afterAll(async () => {
  await gateway?.close()
  await dropAll()
})

/** The entry of a login is written a moment later. That must not happen while a test changes the log. */
async function expectLogins(count: number): Promise<void> {
  for (let logins = 0; logins < count; ) {
    const { body } = await gateway.operator('GET', '/audit-log?action=auth.login')
    logins = body.data.length
  }
}

async function verdict() {
  const { status, body } = await gateway.operator('GET', '/audit-log/verify')
  expect(status).toBe(200)
  return body
}

/** As an attacker who controls the database server, whom no trigger stops. */
async function tamper(sql: string, values: unknown[] = []): Promise<void> {
  const catalog = new URL(stage.catalogUrl).pathname.slice(1)
  await withClient(superuserUrl(catalog), async (client) => {
    await client.query('BEGIN')
    for (const table of ['audit_log', 'audit_seals']) {
      await client.query(`ALTER TABLE ${table} DISABLE TRIGGER ALL`)
    }
    await client.query(sql, values)
    for (const table of ['audit_log', 'audit_seals']) {
      await client.query(`ALTER TABLE ${table} ENABLE ALWAYS TRIGGER append_only`)
    }
    await client.query('ALTER TABLE audit_log ENABLE ALWAYS TRIGGER chain')
    await client.query('COMMIT')
  })
}

/** Makes the change, verifies the log, and restores everything. */
async function whileTampered(sql: string, values: unknown[] = []) {
  await tamper('CREATE TABLE was AS TABLE audit_log')
  try {
    await tamper(sql, values)
    return await verdict()
  } finally {
    await tamper('DELETE FROM audit_log; INSERT INTO audit_log SELECT * FROM was; DROP TABLE was')
  }
}

describe('the audit log', () => {
  test('is complete after concurrent writers', async () => {
    await Promise.all(
      Array.from({ length: 10 }, () => gateway.operator('POST', '/operators', { name: 'n', role: 'viewer' })),
    )
    const { ok, rows, firstBreak } = await verdict()
    expect({ ok, firstBreak }).toEqual({ ok: true, firstBreak: null })
    expect(rows).toBeGreaterThan(14)
  })

  test.each([
    ['a row that was changed', `UPDATE audit_log SET actor_id = 'somebody else' WHERE seq = 3`, 'changed'],
    ['a moment that was moved', `UPDATE audit_log SET at = at - interval '1 day' WHERE seq = 3`, 'changed'],
    ['what was recorded, altered', `UPDATE audit_log SET after = '{}' WHERE seq = 3`, 'changed'],
    ['a row that is gone', 'DELETE FROM audit_log WHERE seq = 3', 'missing'],
  ])('reveals %s', async (_what, sql, reason) => {
    expect(await whileTampered(sql)).toMatchObject({ ok: false, firstBreak: { seq: 3, reason } })
    expect((await verdict()).firstBreak).toBeNull()
  })

  test('reveals two rows that swapped places', async () => {
    const swap = 'UPDATE audit_log SET seq = CASE seq WHEN 3 THEN -4 ELSE -3 END WHERE seq IN (3, 4)'
    expect(await whileTampered(`WITH swapped AS (${swap} RETURNING id) SELECT 1`)).toMatchObject({
      ok: false,
    })
  })

  describe('once it has been sealed', () => {
    beforeAll(async () => {
      await gateway.createTenant()
      await expectLogins(6)
      await verdict()
      expect((await verdict()).sealedThrough).toBeGreaterThan(6)
    })

    test('reveals that its end was cut off', async () => {
      const { sealedThrough } = await verdict()
      const cut = await whileTampered('DELETE FROM audit_log WHERE seq >= $1', [sealedThrough])
      // An entry that is written meanwhile has the number, but not the seal.
      const reason = expect.stringMatching(/^(missing|resealed)$/)
      expect(cut).toMatchObject({ ok: false, firstBreak: { seq: sealedThrough, reason } })
    })

    test('reveals a chain that was recomputed from a changed row', async () => {
      const { sealedThrough } = await verdict()
      const rewrite = `DO $$ DECLARE r audit_log; p bytea := ''; BEGIN
        UPDATE audit_log SET actor_id = 'somebody else' WHERE seq = 2;
        FOR r IN SELECT * FROM audit_log ORDER BY seq LOOP
          p := freehold_audit_hash(p, r);
          UPDATE audit_log SET hash = p WHERE seq = r.seq;
        END LOOP; END $$`
      const { ok, firstBreak } = await whileTampered(rewrite)
      expect(ok).toBe(false)
      expect(firstBreak.reason).toBe('resealed')
      expect(firstBreak.seq).toBeLessThanOrEqual(sealedThrough)
    })
  })

  test('cannot be changed by the serving role', async () => {
    for (const sql of ['UPDATE audit_log SET actor_id = $1', 'DELETE FROM audit_log WHERE actor_id = $1']) {
      const attempt = withClient(stage.catalogUrl, (client) => client.query(sql, ['x']))
      await expect(attempt).rejects.toMatchObject({ code: '23001' })
    }
  })

  test('can be verified by operators only', async () => {
    const tenant = await gateway.createTenant()
    const { status, body } = await gateway.call('GET', '/api/v1/audit-log/verify', { token: tenant.token })
    expect([status, body.code]).toEqual([403, 'OPERATOR_REQUIRED'])
  })
})
