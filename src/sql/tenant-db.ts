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

/** Records that `session` runs the statements of `db`. */
export function bindDb(db: object, session: TenantSession): void {
  sessions.set(db, session)
}

/** The session that runs the statements of `db`. @throws TypeError if `db` belongs to no session */
export function sessionBehind(db: object): TenantSession {
  const session = sessions.get(db)
  if (session === undefined) throw new TypeError('this db belongs to no tenant session')
  return session
}

/** drizzle, whose statements `session` runs. */
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
