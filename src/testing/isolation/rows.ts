import type { Application } from '../../application.ts'
import { CORE_TABLES, findIsolationViolations } from '../../residence/isolation.ts'
import { quote, type SqlClient } from '../templates.ts'

/** The databases in which tenants of a test gateway live, read as a superuser whom no policy holds back. */
export class TenantRows {
  readonly #application: Application
  /** Connections to them, by the words in which a report names them. */
  readonly #clients: ReadonlyMap<string, SqlClient>
  /** Core tables that change with who calls, not with what a tenant has. */
  static readonly #passing: readonly string[] = ['sessions', 'login_attempts', 'idempotency_keys']

  constructor(application: Application, clients: ReadonlyMap<string, SqlClient>) {
    this.#application = application
    this.#clients = clients
  }

  /** Ids of all rows that a tenant has, wherever they are. */
  async idsOf(tenantId: string): Promise<string[]> {
    const texts = await this.#each(
      (table) =>
        `SELECT to_jsonb(t) ->> 'id' AS text FROM public.${quote(table)} t WHERE t.tenant_id = '${tenantId}'`,
    )
    return texts.filter((text) => text !== null)
  }

  /** All that a tenant has, as one text: another text is another content. */
  async contentOf(tenantId: string): Promise<string> {
    const texts = await this.#each(
      (table) => `SELECT '${table}' || md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) AS text
        FROM public.${quote(table)} t WHERE t.tenant_id = '${tenantId}'`,
    )
    return texts.join(' ')
  }

  /** Rules of isolation that the databases do not keep, each as a line of a report. */
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
    const passing = TenantRows.#passing
    const tables = [
      ...CORE_TABLES.filter((name) => !passing.includes(name)),
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
