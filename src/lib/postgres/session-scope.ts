import { type SessionSetting, settingColumns } from './session-settings.ts'

/** Settings and locks that outlast a statement. A session of our own keeps them. Behind a pooler there is no such session. */
export interface SessionScope {
  /** SQL that applies settings to all later statements on the connection. */
  pin(settings: readonly SessionSetting[]): string
  /** Takes an advisory lock, held until it is released or the connection ends. False if another session holds it. */
  tryLock(name: string): Promise<boolean>
  unlock(name: string): Promise<void>
  /** Rejects if this connection has lost a lock that it took. */
  assertLocked(): Promise<void>
}

/** The part of a connection that a scope needs. */
interface Asked {
  query(text: string, values?: string[]): Promise<{ rows: unknown[] }>
}

const scopes = new WeakMap<object, SessionScope>()

/** The scope of a connection: its own session unless another scope was set. */
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

  /** A lock of the session cannot be lost while the session lives. */
  async assertLocked(): Promise<void> {}
}
