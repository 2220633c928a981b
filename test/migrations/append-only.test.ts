import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createDatabase, createRole, dropAll, query, superuserUrl, urlFor } from '../support/database.ts'
import { migratedTemplate } from '../support/migrated.ts'

let database: string
let url: string

beforeAll(async () => {
  const service = await createRole()
  database = await createDatabase({ template: await migratedTemplate('catalog') })
  url = urlFor({ role: service, database })
  await query(
    superuserUrl(database),
    `GRANT ALL ON ALL TABLES IN SCHEMA public TO ${service.name};
     INSERT INTO audit_log (id, actor_type, actor_id, action) VALUES (gen_random_uuid(), 'operator', 'o', 'a');
     INSERT INTO catalog_changes (seq, kind) VALUES (1, 'tenant')`,
  )
})
afterAll(dropAll)

describe.each([
  [
    'audit_log',
    "action = 'other'",
    `(id, actor_type, actor_id, action) VALUES (gen_random_uuid(), 'user', 'u', 'b')`,
  ],
  ['catalog_changes', "kind = 'other'", "(seq, kind) VALUES (2, 'tenant')"],
])('%s', (table, change, row) => {
  test('accepts new rows', async () => {
    await query(url, `INSERT INTO ${table} ${row}`)
  })

  test.each([
    ['UPDATE', `UPDATE ${table} SET ${change}`],
    ['an UPDATE of no rows', `UPDATE ${table} SET ${change} WHERE false`],
    ['DELETE', `DELETE FROM ${table}`],
    ['TRUNCATE', `TRUNCATE ${table}`],
    ['a replica role', `SET session_replication_role = replica; DELETE FROM ${table}`],
  ])('refuses %s, also to a superuser', async (what, statement) => {
    const refused = { code: '23001' }
    if (what !== 'a replica role') await expect(query(url, statement)).rejects.toMatchObject(refused)
    await expect(query(superuserUrl(database), statement)).rejects.toMatchObject(refused)
  })
})
