import { Secret } from '../lib/secret.ts'
import type { Placement } from './schema.ts'
import type { Vault } from './vault.ts'

/** A tenant's residence at one epoch. An epoch is used once, so each epoch has a new seal. */
export interface SealedResidence {
  readonly tenantId: string
  readonly epoch: number
  readonly placement: Placement
}

/** Gives the seal that a unit must show to a tenant database: 64 hex digits. The stamp stores it as bytes. */
export type SealOf = (residence: SealedResidence) => Secret

/**
 * Seals are derived, so the catalog stores none. The placement is part of the derivation: the owner of a dedicated database can
 * read the seal there, and must not learn the seal of the shared database from it.
 */
export function sealsOf(vault: Pick<Vault, 'service'>): SealOf {
  return ({ tenantId, epoch, placement }) =>
    new Secret(vault.service.mac('residence-seal', `${tenantId}\n${epoch}\n${placement}`).toString('hex'))
}
