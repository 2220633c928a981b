import { randomBytes } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { type Attack, OWNER_ATTACKS, RESIDENCE_ATTACKS } from '../attack-list.ts'
import { type AttackAccess, attack, type Outcome, type Target } from '../attacks.ts'
import { ROW_ATTACKS } from '../row-attacks.ts'
import { quote, type SqlClient } from '../templates.ts'
import type { TestTenant } from '../test-tenant.ts'
import type { Leak } from './isolation-error.ts'

/** Two tenants of the shared database, and a superuser's connection to it. */
export interface SqlSides {
  readonly attacker: TestTenant
  readonly victim: TestTenant
  readonly superuser: SqlClient
  /** Names in SQL of the application's tables that hold tenants' rows. */
  readonly tables: readonly string[]
}

const ATTACKS: readonly Attack[] = [...ROW_ATTACKS, ...OWNER_ATTACKS, ...RESIDENCE_ATTACKS]
/** A table that has the columns which the attacks need, in every application. */
const TABLE = 'public.roles'
const ROUTE = 'SQL of a tenant'
const OUTCOMES: Readonly<Record<NonNullable<Outcome>, string>> = {
  learnt: 'it learns what another has',
  changed: 'it changes what another has',
  left: 'the next request feels it',
}

/** Runs SQL of one tenant, as an injection would, and returns what it reached of another tenant. */
export async function leaksBySql(sides: SqlSides): Promise<Leak[]> {
  const { attacker, victim } = sides
  const names = { table: TABLE, residence: 'public.residence' }
  const target: Target = { ...names, own: attacker.id, other: victim.id }
  const access = await prepareAccess(sides)
  const leaks: Leak[] = []
  for (const each of ATTACKS) {
    const outcome = await attack(each, target, access)
    if (outcome !== null) leaks.push({ route: ROUTE, how: `${each.name}: ${OUTCOMES[outcome]}` })
  }
  for (const table of sides.tables) {
    const how = await tryToCount(table, sides, access)
    if (how !== null) leaks.push({ route: ROUTE, how: `${table}: ${how}` })
  }
  return leaks
}

/** Inserts rows for the attacks. Only the victim knows the name of its row. */
async function prepareAccess({ attacker, victim, superuser }: SqlSides): Promise<AttackAccess> {
  const secret = `secret-${randomBytes(8).toString('hex')}`
  const add = (tenantId: string, name: string) =>
    superuser.query(`INSERT INTO ${TABLE} (tenant_id, id, name) VALUES ($1, gen_random_uuid(), $2)`, [
      tenantId,
      name,
    ])
  for (const name of ['own', 'own too']) await add(attacker.id, name)
  await add(victim.id, secret)
  const { rows } = await superuser.query(
    `SELECT encode(seal, 'hex') AS seal FROM public.residence WHERE tenant_id = $1`,
    [victim.id],
  )
  return {
    single: (text) => attacker.run(async ({ db }) => (await db.execute(sql.raw(text))).rows),
    transaction: (texts) =>
      attacker.run((tenant) =>
        tenant.transaction(async (db) => {
          const answers: unknown[] = []
          for (const text of texts) answers.push((await db.execute(sql.raw(text))).rows)
          return answers
        }),
      ),
    look: async () => JSON.stringify((await superuser.query(LOOK, [victim.id])).rows),
    secrets: [secret, rows[0]?.seal].filter((text) => typeof text === 'string'),
  }
}

const LOOK = `SELECT (SELECT json_agg(t ORDER BY id) FROM ${TABLE} t WHERE tenant_id = $1) AS rows,
  (SELECT json_agg(r) FROM public.residence r WHERE tenant_id = $1) AS residence`

/** Counts the victim's rows in a table, with and without the victim's id in the setting. Null if no row is visible. */
async function tryToCount(
  table: string,
  { victim }: SqlSides,
  { transaction }: AttackAccess,
): Promise<string | null> {
  const theirs = `FROM public.${quote(table)} WHERE tenant_id = '${victim.id}'`
  const claim = `SELECT set_config('app.tenant_id', '${victim.id}', true)`
  const attempts = [[`SELECT count(*)::int AS n ${theirs}`], [claim, `SELECT count(*)::int AS n ${theirs}`]]
  for (const statements of attempts) {
    const answers = await transaction(statements).catch(() => [])
    const [last] = ((answers as unknown[]).at(-1) ?? []) as { n?: unknown }[]
    if (typeof last?.n === 'number' && last.n > 0) return 'rows of another are within reach'
  }
  return null
}
