import { openAdministrator, servesTenant } from '../catalog/servers/administrators.ts'
import { claimServerChecks, recordServerCheck, type ServerFault } from '../catalog/servers/checks.ts'
import type { ServerRow } from '../catalog/servers/schema.ts'
import type { CatalogStore } from '../catalog/store.ts'
import type { Vault } from '../catalog/vault.ts'
import { classify, wordsFor } from '../databases/failures.ts'
import { type CheckServerDeps, checkServer } from '../databases/servers/check-server.ts'
import { NoAdmissionError } from '../pools/admin-connection.ts'
import { RoundAge } from './round-age.ts'

export interface ServerMonitorOptions extends CheckServerDeps {
  readonly store: CatalogStore
  readonly vault: Vault
  readonly log: {
    info(fields: object, message: string): void
    warn(fields: object, message: string): void
  }
}

const CONCURRENCY = 4
const SERVES_A_TENANT: ServerFault = {
  code: 'ROLE_BYPASSES_RLS',
  words: "A tenant's database uses this role; give the server a role of its own",
}

/**
 * One round checks each server as when it was added, a few at a time. The replicas agree in the catalog which servers are due, so
 * one of them checks each.
 */
export class ServerMonitor {
  readonly #options: ServerMonitorOptions
  readonly #age = new RoundAge()

  constructor(options: ServerMonitorOptions) {
    this.#options = options
  }

  /** Runs one round. `signal` ends it early. */
  async sweep(signal: AbortSignal): Promise<void> {
    const minAgeMs = this.#age.next()
    const checked: string[] = []
    while (!signal.aborted) {
      const due = { minAgeMs, without: checked, limit: CONCURRENCY }
      const claimed = await claimServerChecks(this.#options.store, due)
      await Promise.all(claimed.map((server) => this.#check(server)))
      if (claimed.length < CONCURRENCY) return
      checked.push(...claimed.map(({ id }) => id))
    }
  }

  async #check(server: ServerRow): Promise<void> {
    const { store, log } = this.#options
    const { id: serverId, lastErrorCode } = server
    try {
      const fault = await this.#faultOf(server)
      if (fault !== null || lastErrorCode !== null) await recordServerCheck(store, server, fault)
      if (fault === null && lastErrorCode !== null) log.info({ serverId }, 'server can be used again')
    } catch (err) {
      // No free connection and a catalog that does not answer prove nothing about the server. A later round checks it again.
      if (!(err instanceof NoAdmissionError)) log.warn({ serverId, err }, 'health result not recorded')
    }
  }

  /** @throws NoAdmissionError; PublicError CATALOG_UNAVAILABLE */
  async #faultOf(server: ServerRow): Promise<ServerFault | null> {
    const { vault, store } = this.#options
    const { caCertificate, systemIdentifier } = server
    try {
      const target = openAdministrator(vault, server)
      await checkServer(this.#options, { target, caCertificate, systemIdentifier })
    } catch (error) {
      if (error instanceof NoAdmissionError) throw error
      return this.#logged(server, { code: classify(error), words: wordsFor(error) }, error)
    }
    const { host, port, userName: user } = server
    const isUsed = await servesTenant(store.db, { host, port, user, systemIdentifier })
    return isUsed ? this.#logged(server, SERVES_A_TENANT) : null
  }

  /** Logs a fault that the last round did not find. */
  #logged({ id: serverId, lastErrorCode }: ServerRow, fault: ServerFault, err?: unknown): ServerFault {
    const { code, words } = fault
    if (code !== lastErrorCode)
      this.#options.log.warn({ serverId, code, words, err }, 'server cannot be used')
    return fault
  }
}
