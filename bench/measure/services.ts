import { randomBytes } from 'node:crypto'
import { SignJWT } from 'jose'
import type { TenantAccess } from '../operator.ts'
import { type ServerProcess, startGatewayProcess, startScript } from '../processes.ts'
import { GATEWAY } from './group.ts'

/** A running service, and how its callers prove who they are. */
export interface Service {
  readonly name: string
  readonly server: ServerProcess
  readonly tokenOf: (tenant: TenantAccess) => string
}

export interface Environments {
  readonly first: Readonly<Record<string, string>>
  /**
   * Of the second gateway. Gateways of one catalog are replicas, which divide the connections among them; so it has a catalog
   * of its own, a copy that knows the same tenants.
   */
  readonly second: Readonly<Record<string, string>>
}

/** Starts the gateway, and a second one if there are settings to compare. */
export async function startGateways(
  { first, second }: Environments,
  settings: Readonly<Record<string, string>>,
): Promise<Service[]> {
  const tokenOf = ({ token }: TenantAccess) => token
  const gateways = [{ name: GATEWAY, server: await startGatewayProcess({ ...first }), tokenOf }]
  const changes = Object.entries(settings).map(([name, value]) => `${name}=${value}`)
  if (changes.length === 0) return gateways
  const server = await startGatewayProcess({ ...second, ...settings }).catch(async (error: unknown) => {
    await stopAll(gateways)
    throw error
  })
  return [...gateways, { name: `${GATEWAY}, ${changes.join(' ')}`, server, tokenOf }]
}

/** Starts baselines. All of them know the same secret, with which their callers' tokens are signed. */
export class Baselines {
  readonly #secret = randomBytes(32)
  readonly #tokens = new Map<string, string>()

  async start(name: string, script: string, environment: Record<string, string>): Promise<Service> {
    const secret = { TOKEN_SECRET: this.#secret.toString('base64url') }
    const server = await startScript(`baselines/${script}`, { ...environment, ...secret })
    return { name, server, tokenOf: ({ id }) => this.tokenOf(id) }
  }

  tokenOf(tenantId: string): string {
    return this.#tokens.get(tenantId) ?? ''
  }

  /** Signs a token of each tenant, so that they are there when they are asked for. */
  async sign(tenants: readonly Pick<TenantAccess, 'id'>[]): Promise<void> {
    for (const { id } of tenants) {
      const claims = { tenantId: id, permissions: ['properties:read', 'properties:write'] }
      const token = await new SignJWT(claims)
        .setProtectedHeader({ alg: 'HS256' })
        .setAudience('bench')
        .setExpirationTime('2h')
        .sign(this.#secret)
      this.#tokens.set(id, token)
    }
  }
}

export async function stopAll(services: readonly Pick<Service, 'server'>[]): Promise<void> {
  await Promise.all(services.map(({ server }) => server.stop()))
}
