import { Secret } from '../lib/secret.ts'
import type { Placement } from './schema.ts'
import type { Vault } from './vault.ts'

/** A tenant's place to live at one epoch. An epoch is given out once, so a seal is fresh with each. */
export interface SealedResidence {
  readonly tenantId: string
  readonly epoch: number
  readonly placement: Placement
}

/** What a unit must know to be let in to a tenant there: 64 hex digits. The residence keeps the same, as bytes. */
export type SealOf = (home: SealedResidence) => Secret

/**
 * Seals are derived, so the catalog stores none. The placement is part of it: the owner of a tenant's own database reads the
 * seal there, and must not learn one of the shared database by it.
 */
export function sealsOf(vault: Pick<Vault, 'service'>): SealOf {
  return ({ tenantId, epoch, placement }) =>
    new Secret(vault.service.mac('residence-seal', `${tenantId}\n${epoch}\n${placement}`).toString('hex'))
}
