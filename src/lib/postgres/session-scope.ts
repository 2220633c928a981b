import { type SessionSetting, settingColumns } from './session-settings.ts'

/** What is to outlast a statement. A connection of our own keeps it in its session; behind a pooler there is none. */
export interface SessionScope {
  /** SQL to run that makes settings for all that is run on the connection from then on. */
  pin(settings: readonly SessionSetting[]): string
  /** Takes an advisory lock, held until it is given back or the connection ends. False if another has it. */
  tryLock(name: string): Promise<boolean>
  unlock(name: string): Promise<void>
  /** Rejects where a lock was lost that this connection took. */
  assertLocked(): Promise<void>
}

/** The part of a connection that a scope needs. */
interface Asked {
  query(text: string, values?: string[]): Promise<{ rows: unknown[] }>
}

const scopes = new WeakMap<object, SessionScope>()

/** The scope of a connection: its own session unless something else was said. */
export function scopeOf(client: Asked): SessionScope {
  return scopes.get(client) ?? new OwnSession(client)
}

export function setScope(client: Asked, scope: SessionScope): void {
  scopes.set(client, scope)
}

const LOCK_KEY = 'pg_catalog.hashtextextended($1::text, 0)'

class OwnSession implements SessionScope {
  readonly #client: Asked

  constructor(client: Asked) {
    this.#client = client
  }

  pin(settings: readonly SessionSetting[]): string {
    return `SELECT ${settingColumns(settings, 'session')}`
  }

  async tryLock(name: string): Promise<boolean> {
    const text = `SELECT pg_catalog.pg_try_advisory_lock(${LOCK_KEY}) AS locked`
    const [row] = (await this.#client.query(text, [name])).rows as { locked: boolean }[]
    return row?.locked === true
  }

  async unlock(name: string): Promise<void> {
    await this.#client.query(`SELECT pg_catalog.pg_advisory_unlock(${LOCK_KEY})`, [name])
  }

  /** It ends with the session, and so does all that could be asked on it. */
  async assertLocked(): Promise<void> {}
}
