import type { Actor } from '../../catalog/audit/entries.ts'
import { DATABASE_ERRORS } from '../../catalog/databases/entry.ts'
import type { Page } from '../../catalog/pages.ts'
import type { Administrator } from '../../catalog/servers/administrators.ts'
import {
  addServer,
  changeServer,
  findServer,
  listServers,
  removeServer,
  type Server,
  type ServerSettings,
} from '../../catalog/servers/servers.ts'
import type { CatalogStore } from '../../catalog/store.ts'
import type { Vault } from '../../catalog/vault.ts'
import { classify, wordsFor } from '../../databases/failures.ts'
import { type CheckServerDeps, checkServer } from '../../databases/servers/check-server.ts'
import { fail, invalidField } from '../../errors.ts'
import { Secret } from '../../lib/secret.ts'
import { NoAdmissionError } from '../../pools/admin-connection.ts'
import { type ConnectionRules, readBundle, readTarget } from '../given-connection.ts'

export interface ServerOperationsDeps extends CheckServerDeps, ConnectionRules {
  readonly store: CatalogStore
  readonly vault: Vault
}

export interface NewServer {
  readonly name: string
  readonly connectionString: string
  readonly caCertificate?: string
  readonly region?: string | null
  readonly capacity: number
  readonly ready: number
}

export type ServerPatch = Partial<ServerSettings> & Partial<Pick<NewServer, 'connectionString' | 'ready'>>

const NONE_READY = 'must be 0: this release makes no databases in advance'

/** The servers on which Freehold may create databases. All throw NOT_FOUND for an unknown server. */
export class ServerOperations {
  readonly #deps: ServerOperationsDeps

  constructor(deps: ServerOperationsDeps) {
    this.#deps = deps
  }

  list(page: { limit: number; cursor?: string | undefined }): Promise<Page<Server>> {
    return listServers(this.#deps.store, page)
  }

  find(id: string): Promise<Server> {
    return findServer(this.#deps.store, id)
  }

  /**
   * Adds a server after it has answered.
   * @throws PublicError VALIDATION_FAILED with the reason if the server cannot be used; CONFLICT; NO_CONNECTION_AVAILABLE
   */
  async add({ connectionString, ready, ...given }: NewServer, actor: Actor): Promise<Server> {
    assertNoneReady(ready)
    const { name, region = null, capacity } = given
    const caCertificate = readBundle(given.caCertificate)
    const administrator = await this.#check(connectionString, { caCertificate, systemIdentifier: null })
    const settings = { name, region, capacity, status: 'active' as const }
    const { store, vault } = this.#deps
    return this.find(await addServer(store, vault, { settings, administrator, actor }))
  }

  /** As `add`. A new connection string must lead to the same server. */
  async change(
    id: string,
    { connectionString, ready, ...settings }: ServerPatch,
    actor: Actor,
  ): Promise<Server> {
    assertNoneReady(ready)
    const present = await this.find(id)
    const administrator = connectionString === undefined ? null : await this.#check(connectionString, present)
    const { store, vault } = this.#deps
    await changeServer(store, vault, { id, settings, administrator, actor })
    return this.find(id)
  }

  /** @throws PublicError SERVER_IN_USE while a tenant's database is there */
  remove(id: string, actor: Actor): Promise<void> {
    return removeServer(this.#deps.store, id, actor)
  }

  async #check(
    text: string,
    { caCertificate, systemIdentifier }: Pick<Administrator, 'caCertificate' | 'systemIdentifier'>,
  ): Promise<Administrator> {
    const target = readTarget(this.#deps, text)
    const found = await checkServer(this.#deps, { target, caCertificate, systemIdentifier }).catch(refuse)
    const connectionString = new Secret(text)
    return { connectionString, target, caCertificate, systemIdentifier: found ?? systemIdentifier }
  }
}

/** @throws PublicError VALIDATION_FAILED */
function assertNoneReady(ready = 0): void {
  if (ready > 0) throw invalidField('/ready', NONE_READY)
}

/** The message has our own words only, because the server may have chosen those of its error. */
function refuse(error: unknown): never {
  if (error instanceof NoAdmissionError) throw fail('NO_CONNECTION_AVAILABLE', { cause: error })
  const code = classify(error)
  throw invalidField('/connectionString', `${code}: ${wordsFor(error) ?? DATABASE_ERRORS[code]}`)
}
