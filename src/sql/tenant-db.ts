import { drizzle, type NodePgSession } from 'drizzle-orm/node-postgres'
import type { TenantDb, TenantSession } from './session.ts'

/** A statement as drizzle hands it to pg's client. */
interface QueryInput {
  readonly text: string
  readonly values?: readonly unknown[]
  readonly rowMode?: 'array'
}

type Client = ConstructorParameters<typeof NodePgSession>[0]

const sessions = new WeakMap<object, TenantSession>()

/** Has `db` known as one whose statements `session` runs. */
export function bindDb(db: object, session: TenantSession): void {
  sessions.set(db, session)
}

/** The session that runs the statements of `db`. @throws TypeError for a database of another kind */
export function sessionBehind(db: object): TenantSession {
  const session = sessions.get(db)
  if (session === undefined) throw new TypeError('this db is not the one of a tenant')
  return session
}

/** drizzle over a session. */
export function tenantDb(session: TenantSession): TenantDb {
  const db = drizzle({ client: clientOver(session) }) as unknown as TenantDb
  bindDb(db, session)
  return db
}

/** The part of pg's client that drizzle uses: it hands each statement to the session. */
export function clientOver(session: TenantSession): Client {
  const client = {
    query(config: string | QueryInput, params?: readonly unknown[]) {
      const input: QueryInput = typeof config === 'string' ? { text: config } : config
      const { text, values = [], rowMode } = input
      return session.run({ text, values: params ?? values, rowMode: rowMode ?? 'object' })
    },
  }
  return client as never
}
