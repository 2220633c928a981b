import { type OwnServer, startOwnServer } from '../../test/support/second-server.ts'
import { Operator } from '../operator.ts'
import { type ServerProcess, startGatewayProcess } from '../processes.ts'
import { asSuperuser, environmentOf, makeDatabase } from '../stage.ts'
import { Caller } from './caller.ts'

/** A gateway process, an operator and a caller. */
export interface House {
  readonly process: ServerProcess
  readonly operator: Operator
  readonly caller: Caller
}

export interface BenchTenant {
  readonly id: string
  readonly code: string
  readonly token: string
}

/** Connections that a gateway may hold to a server, and a tenant's pool to its database. */
const POOL_SIZE = 20

/** Two PostgreSQL servers (catalog and shared database; tenants' own) and the gateways that a figure needs. */
export class Stage {
  readonly central: OwnServer
  readonly own: OwnServer
  readonly #environment: Record<string, string>
  readonly #houses: House[] = []

  private constructor(central: OwnServer, own: OwnServer, environment: Record<string, string>) {
    this.central = central
    this.own = own
    this.#environment = environment
  }

  static async create(): Promise<Stage> {
    const settings = { max_connections: '300' }
    const [central, own] = [await startOwnServer({ settings }), await startOwnServer({ settings })]
    const environment = environmentOf(
      await makeDatabase(central, 'catalog'),
      await makeDatabase(central, 'shared'),
    )
    return new Stage(central, own, { ...environment, MAX_CONNECTIONS_PER_SERVER: String(POOL_SIZE) })
  }

  /** One more gateway on the same catalog. */
  async open(more: Record<string, string> = {}): Promise<House> {
    const environment = { ...this.#environment, ...more }
    const process = await startGatewayProcess(environment)
    const operator = new Operator(process, environment.OPERATOR_TOKEN ?? '')
    const house = { process, operator, caller: new Caller(process.port) }
    this.#houses.push(house)
    return house
  }

  get operatorToken(): string {
    return this.#environment.OPERATOR_TOKEN ?? ''
  }

  async dispose(): Promise<void> {
    for (const { process, caller } of this.#houses) {
      caller.close()
      await process.stop()
    }
    for (const server of [this.central, this.own]) await server.dispose()
  }
}

/** A tenant in the shared database. */
export async function sharedTenant({ operator }: House, code: string): Promise<BenchTenant> {
  return { code, ...(await operator.createTenantWithAdmin(code)) }
}

/** A tenant with a database of its own at `port` (a proxy's, or the server's). */
export async function ownTenant(
  house: House,
  { code, url }: { code: string; url: string },
): Promise<BenchTenant> {
  const tenant = await sharedTenant(house, code)
  await house.operator.giveDatabase(tenant.id, { connectionString: url, poolSize: POOL_SIZE })
  return tenant
}

/** Makes each insert of a place slow. */
export async function slowDown(server: OwnServer, database: string, seconds: number): Promise<void> {
  await asSuperuser(server, database, (client) =>
    client.query(`CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql
      AS 'BEGIN PERFORM pg_catalog.pg_sleep(${seconds}); RETURN NEW; END';
    CREATE TRIGGER slow BEFORE INSERT ON places FOR EACH ROW EXECUTE FUNCTION slow()`),
  )
}

export const PLACES = '/api/v1/places'

/** Writes places that carry the code of their tenant in their names. */
export async function furnish({ caller }: House, { token, code }: BenchTenant, rows: number): Promise<void> {
  for (let n = 0; n < rows; n += 1) {
    const { status, text } = await caller.ask('POST', PLACES, { token, body: { name: `${code} ${n}` } })
    if (status !== 201) throw new Error(text)
  }
}
