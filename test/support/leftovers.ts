import { Client } from 'pg'

/** Every name that a run creates on a server has this prefix. */
export function runPrefix(runId: string): string {
  return `fh_${runId}_`
}

/** Drops all databases and roles of a run from a server that keeps running. */
export async function dropRun(superuserUrl: string, runId: string): Promise<void> {
  const client = new Client({ connectionString: superuserUrl })
  await client.connect()
  try {
    await dropNamed(client, runPrefix(runId))
  } finally {
    await client.end()
  }
}

async function dropNamed(client: Client, prefix: string): Promise<void> {
  const databases = await client.query(
    'SELECT datname AS name, datistemplate AS template FROM pg_database WHERE starts_with(datname, $1)',
    [prefix],
  )
  for (const { name, template } of databases.rows) {
    if (template) await client.query(`ALTER DATABASE "${name}" IS_TEMPLATE false`)
    await client.query(`DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`)
  }
  const roles = await client.query('SELECT rolname AS name FROM pg_roles WHERE starts_with(rolname, $1)', [
    prefix,
  ])
  for (const { name } of roles.rows) {
    await client.query(`DROP OWNED BY "${name}"`)
    await client.query(`DROP ROLE IF EXISTS "${name}"`)
  }
}
