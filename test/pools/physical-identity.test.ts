import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ConnectionFacts, greet } from '../../src/lib/postgres/database-identity.ts'
import { connectClient } from '../../src/lib/postgres/pg.ts'
import { newServerTraits } from '../../src/lib/postgres/server-traits.ts'
import {
  createDatabase,
  createRole,
  dropAll,
  query,
  superuserUrl,
  uniqueName,
  urlFor,
} from '../support/database.ts'
import { addressOf } from '../support/tenant-database.ts'

const LIMITS = { connectTimeoutMs: 5_000, statementTimeoutMs: 5_000, plansOnce: true }
const TELLS_FILES = 'pg_catalog.pg_relation_filepath(regclass)'
const TELLS_CLUSTER = 'pg_catalog.pg_control_system()'

let role: Awaited<ReturnType<typeof createRole>>
let cluster: string | undefined
const tablespace = uniqueName('elsewhere')

beforeAll(async () => {
  role = await createRole()
  const told = await query<{ id: string }>(
    superuserUrl(),
    `SELECT system_identifier::text AS id FROM ${TELLS_CLUSTER}`,
  )
  cluster = told[0]?.id
})
afterAll(async () => {
  await dropAll()
  await query(superuserUrl(), `DROP TABLESPACE IF EXISTS ${tablespace}`)
})

async function greetOnce(database: string, traits = newServerTraits()): Promise<ConnectionFacts> {
  const address = { ...addressOf(urlFor({ role, database })), traits }
  const client = await connectClient(address, LIMITS)
  try {
    return await greet(client)
  } finally {
    await client.end()
  }
}

async function oidOf(database: string): Promise<number> {
  const sql = `SELECT oid::int AS oid FROM pg_catalog.pg_database WHERE datname = '${database}'`
  return (await query<{ oid: number }>(superuserUrl(), sql))[0]?.oid ?? 0
}

function revoke(database: string, functions: readonly string[]): Promise<unknown> {
  return query(superuserUrl(database), `REVOKE EXECUTE ON FUNCTION ${functions.join(', ')} FROM PUBLIC`)
}

describe('the identity of a database', () => {
  test('is the one that its server knows it by, with our own session and its settings', async () => {
    const database = await createDatabase({ owner: role.name })
    const identity = { databaseOid: await oidOf(database), systemIdentifier: cluster }
    expect(await greetOnce(database)).toEqual({ identity, isPooled: false, hasOurSettings: true })
  })

  test('is the same for a database in another tablespace', async () => {
    const database = await createDatabase({ owner: role.name })
    const inPlace = new URL(superuserUrl())
    inPlace.searchParams.set('options', '-c allow_in_place_tablespaces=on')
    await query(inPlace.href, `CREATE TABLESPACE ${tablespace} LOCATION ''`)
    await query(superuserUrl(), `ALTER DATABASE ${database} SET TABLESPACE ${tablespace}`)
    const traits = newServerTraits()
    const { identity } = await greetOnce(database, traits)
    expect(identity).toEqual({ databaseOid: await oidOf(database), systemIdentifier: cluster })
    expect(traits.tellsFiles).toBe(true)
  })

  test.each([
    ['where its files are', [TELLS_FILES], () => cluster],
    ['which cluster it is', [TELLS_CLUSTER], () => null],
    ['either', [TELLS_FILES, TELLS_CLUSTER], () => null],
  ])('is read by name from a server that does not tell %s', async (_what, functions, systemIdentifier) => {
    const database = await createDatabase({ owner: role.name })
    await revoke(database, functions)
    const traits = newServerTraits()
    const identity = { databaseOid: await oidOf(database), systemIdentifier: systemIdentifier() }
    for (let connection = 0; connection < 2; connection++)
      expect(await greetOnce(database, traits)).toEqual({ identity, isPooled: false, hasOurSettings: true })
    expect(traits.tellsFiles).toBe(false)
  })
})
