import type { Application } from '../../application.ts'
import { CORE_TABLES, findIsolationViolations } from '../../residence/isolation.ts'
import { quote, type SqlClient } from '../templates.ts'

/** The tenant databases of a test gateway, read as a superuser, who sees the rows of all tenants. */
export class TenantRows {
  readonly #application: Application
  /** The connections, by the names that a report uses. */
  readonly #clients: ReadonlyMap<string, SqlClient>
  /** Core tables that change with each call, even if the tenant's data do not. */
  static readonly #changing: readonly string[] = ['sessions', 'login_attempts', 'idempotency_keys']

  constructor(application: Application, clients: ReadonlyMap<string, SqlClient>) {
    this.#application = application
    this.#clients = clients
  }

  /** The ids of all rows of a tenant, in all databases. */
  async idsOf(tenantId: string): Promise<string[]> {
    const texts = await this.#each(
      (table) =>
        `SELECT to_jsonb(t) ->> 'id' AS text FROM public.${quote(table)} t WHERE t.tenant_id = '${tenantId}'`,
    )
    return texts.filter((text) => text !== null)
  }

  /** One text for all rows of a tenant. It changes if any row changes. */
  async contentOf(tenantId: string): Promise<string> {
    const texts = await this.#each(
      (table) => `SELECT '${table}' || md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) AS text
        FROM public.${quote(table)} t WHERE t.tenant_id = '${tenantId}'`,
    )
    return texts.join(' ')
  }

  /** The isolation rules that the databases violate, each as a line of a report. */
  async violations(): Promise<string[]> {
    const found: string[] = []
    for (const [name, client] of this.#clients) {
      const violations = await findIsolationViolations(client, {
        everything: true,
        tables: this.#application,
      })
      for (const { object, rule, detail } of violations)
        found.push(`${name}: ${rule} at ${object}${detail === '' ? '' : ` (${detail})`}`)
    }
    return found
  }

  async #each(select: (table: string) => string): Promise<string[]> {
    const changing = TenantRows.#changing
    const tables = [
      ...CORE_TABLES.filter((name) => !changing.includes(name)),
      ...this.#application.tenantTables,
    ]
    const text = tables.map(select).join('\nUNION ALL\n')
    const found: string[] = []
    for (const client of this.#clients.values()) {
      const { rows } = await client.query(text)
      found.push(...rows.map(({ text: value }) => value))
    }
    return found
  }
}
