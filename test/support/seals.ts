import { createHash } from 'node:crypto'
import type { SealOf } from '../../src/catalog/seals.ts'
import { Secret } from '../../src/lib/secret.ts'

/** Seals of tenants that a test creates itself. Without a catalog there is no key to derive seals from. */
export const sealOf: SealOf = ({ tenantId, epoch }) =>
  new Secret(createHash('sha256').update(`${tenantId}:${epoch}`).digest('hex'))

/** For an INSERT into `residence`: the seal of a tenant, as bytes. */
export function sealBytes(tenantId: string, epoch: number): string {
  return `decode('${sealOf({ tenantId, epoch, placement: 'shared' }).reveal()}', 'hex')`
}

/** SQL that makes the rest of a transaction run as the tenant, on a connection of the serving role. */
export function entering(tenantId: string, epoch: number): string {
  const seal = sealOf({ tenantId, epoch, placement: 'shared' }).reveal()
  return `SELECT set_config('app.tenant_id', '${tenantId}', true), set_config('app.seal', '${seal}', true)`
}

/** The same on a connection of the role that owns the tables, for any tenant there. */
export function operatingOn(tenantId: string): string {
  return `SELECT set_config('app.tenant_id', '${tenantId}', true), set_config('app.seal', 'owner', true)`
}
