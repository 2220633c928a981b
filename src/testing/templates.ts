/** Databases that are filled once and copied: a copy takes a tenth of the time that the migrations take. */

/** Part of a client of pg's. */
export interface SqlClient {
  // biome-ignore lint/suspicious/noExplicitAny: rows are as the statement says
  query(text: string, values?: unknown[]): Promise<{ rows: any[] }>
}

/** Lends a superuser's connection to a database; null is the one for administration. */
export type Superuser = <T>(database: string | null, work: (client: SqlClient) => Promise<T>) => Promise<T>

/** Who may log in. */
export interface Login {
  readonly name: string
  readonly password: string
}

export interface Template {
  /** The name of its database. It says what is in there: a template that is there is taken as it is. */
  readonly name: string
  /**
   * An ordinary role that owns the database while it is filled, and for good all that is made in it. Made if it is not there.
   * One whose objects are handed on, see `Copy`, must be the writer of no other template: that one may just be filled.
   */
  readonly writer: Login | null
  /** Fills the empty database, and closes what it opens. */
  readonly fill: () => Promise<void>
}

export interface Copy {
  readonly template: string
  readonly name: string
  readonly owner: string
  /** The template's writer, whose objects become the owner's. It must own no databases by now: they would go along. */
  readonly writer: string | null
}

/** Makes a template unless it is there. Of several processes that ask at once one makes it, and the others wait. */
export function ensureTemplate(superuser: Superuser, { name, writer, fill }: Template): Promise<void> {
  return superuser(null, async (client) => {
    // Held by this session, so it is freed whatever happens.
    await client.query('SELECT pg_advisory_lock(hashtext($1))', [name])
    try {
      const { rows } = await client.query(
        'SELECT datistemplate AS done FROM pg_database WHERE datname = $1',
        [name],
      )
      if (rows[0]?.done === true) return
      await client.query(`DROP DATABASE IF EXISTS ${quote(name)} WITH (FORCE)`)
      await client.query(`CREATE DATABASE ${quote(name)} TEMPLATE template0`)
      if (writer !== null) await ensureRole(client, writer)
      if (writer !== null) await client.query(`ALTER DATABASE ${quote(name)} OWNER TO ${quote(writer.name)}`)
      await fill()
      await client.query(`ALTER DATABASE ${quote(name)} OWNER TO CURRENT_USER`)
      // A copy waits 5 s for a session on its template, and then fails.
      await client.query(`ALTER DATABASE ${quote(name)} ALLOW_CONNECTIONS false IS_TEMPLATE true`)
      await client.query('SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1', [
        name,
      ])
    } finally {
      await client.query('SELECT pg_advisory_unlock(hashtext($1))', [name])
    }
  })
}

/** Makes a database from a template. */
export async function copyTemplate(superuser: Superuser, copy: Copy): Promise<void> {
  const { template, name, owner, writer } = copy
  await superuser(null, async (client) => {
    const strategy = await copyStrategy(client)
    await client.query(
      `CREATE DATABASE ${quote(name)} OWNER ${quote(owner)} TEMPLATE ${quote(template)} ${strategy}`,
    )
  })
  if (writer === null) return
  await superuser(name, (client) => client.query(`REASSIGN OWNED BY ${quote(writer)} TO ${quote(owner)}`))
}

/**
 * How CREATE DATABASE is to copy. By file it takes half of the processor time, and DROP DATABASE a third, as the pages of the
 * copy are not in the server's memory. Each takes checkpoints, which are cheap only where nothing is synced.
 */
export async function copyStrategy(client: SqlClient): Promise<string> {
  const { rows } = await client.query(
    `SELECT current_setting('fsync') = 'off' AND current_setting('server_version_num')::int >= 150000 AS "byFile"`,
  )
  return rows[0]?.byFile === true ? 'STRATEGY file_copy' : ''
}

/** Makes an ordinary role that may log in, or gives it this password. */
export async function ensureRole(client: SqlClient, { name, password }: Login): Promise<void> {
  const literal = `'${password.replaceAll("'", "''")}'`
  // One statement, so one transaction: two processes that ask at once come one after the other.
  await client.query(`DO $role$ BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('freehold role'));
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = '${name}') THEN
      ALTER ROLE ${quote(name)} LOGIN PASSWORD ${literal};
    ELSE
      CREATE ROLE ${quote(name)} LOGIN PASSWORD ${literal};
    END IF;
  END $role$`)
}

/** A name as SQL writes it. */
export function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
