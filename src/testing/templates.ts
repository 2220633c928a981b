/** Databases that are filled once and then copied. A copy takes a tenth of the time of the migrations. */

/** The part of pg's client that tests use. */
export interface SqlClient {
  // biome-ignore lint/suspicious/noExplicitAny: rows are as the statement says
  query(text: string, values?: unknown[]): Promise<{ rows: any[] }>
}

/** Lends a superuser's connection to a database. Null is the administration database. */
export type Superuser = <T>(database: string | null, work: (client: SqlClient) => Promise<T>) => Promise<T>

/** A role and its password. */
export interface Login {
  readonly name: string
  readonly password: string
}

export interface Template {
  /** The name of its database. It must identify the content, because an existing template is used as it is. */
  readonly name: string
  /**
   * An ordinary role that owns the database while it is filled, and always owns the objects in it. It is created if it does not
   * exist. If its objects change their owner, see `Copy`, it must be the writer of no other template, which may be filled now.
   */
  readonly writer: Login | null
  /** Fills the empty database, and closes its own connections. */
  readonly fill: () => Promise<void>
}

export interface Copy {
  readonly template: string
  readonly name: string
  readonly owner: string
  /** The template's writer, whose objects get the new owner. It must own no databases, because they would get that owner, too. */
  readonly writer: string | null
}

/** Creates a template if it does not exist. If several processes call this at once, one creates it and the others wait. */
export function ensureTemplate(superuser: Superuser, { name, writer, fill }: Template): Promise<void> {
  return superuser(null, async (client) => {
    // The session holds the lock, so it is released even if the process ends.
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
      // CREATE DATABASE waits 5 s for sessions on its template to end, and then fails. So they are ended here.
      await client.query(`ALTER DATABASE ${quote(name)} ALLOW_CONNECTIONS false IS_TEMPLATE true`)
      await client.query('SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1', [
        name,
      ])
    } finally {
      await client.query('SELECT pg_advisory_unlock(hashtext($1))', [name])
    }
  })
}

/** Creates a database from a template. */
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
 * The strategy of CREATE DATABASE. Copying files takes half of the processor time, and DROP DATABASE then takes a third, because
 * the pages of the copy are not in the server's memory. Both make checkpoints, which are cheap only if the server does not sync.
 */
export async function copyStrategy(client: SqlClient): Promise<string> {
  const { rows } = await client.query(
    `SELECT current_setting('fsync') = 'off' AND current_setting('server_version_num')::int >= 150000 AS "byFile"`,
  )
  return rows[0]?.byFile === true ? 'STRATEGY file_copy' : ''
}

/** Creates an ordinary role that may log in, or sets its password. */
export async function ensureRole(client: SqlClient, { name, password }: Login): Promise<void> {
  const literal = `'${password.replaceAll("'", "''")}'`
  // One statement is one transaction, so the lock makes two processes run one after the other.
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
