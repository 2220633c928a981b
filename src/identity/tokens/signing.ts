import { type JWTPayload, SignJWT } from 'jose'
import type { CatalogStore } from '../../catalog/store.ts'
import type { Vault } from '../../catalog/vault.ts'
import { ServiceKeys } from './service-keys.ts'
import { type PublicJwk, TOKEN_TYPE, type TokenKeys, type VerificationKey } from './signing-key.ts'
import { TenantKeys } from './tenant-keys.ts'

export interface SigningKeysParts {
  readonly store: CatalogStore
  /** After `init`. */
  readonly vault: Pick<Vault, 'service' | 'dataKey' | 'opening'>
  /** How long a tenant's known keys are used while the catalog cannot be reached. */
  readonly maxStalenessMs?: number
  /** Called when this process learns that keys of a tenant are no longer valid. */
  readonly onWithdrawn?: (tenantId: string) => void
}

/** The keys that sign access tokens: the service's, which are in memory after `init`, and those of tenants that have their own. */
export class SigningKeys implements TokenKeys {
  readonly service: ServiceKeys
  readonly tenants: TenantKeys

  constructor(parts: SigningKeysParts) {
    this.service = new ServiceKeys(parts)
    this.tenants = new TenantKeys(parts)
  }

  /** Reads the service's keys, and creates the first one if there is none. */
  init(): Promise<void> {
    return this.service.init()
  }

  /** Reads the service's keys again. */
  reload(): Promise<void> {
    return this.service.reload()
  }

  /** A forged `kid` costs a look-up in memory and at most one HMAC, and never a query to the catalog. */
  find(kid: string): VerificationKey | undefined | Promise<VerificationKey | undefined> {
    return kid.startsWith('t.') ? this.tenants.find(kid) : this.service.find(kid)
  }

  async sign(payload: JWTPayload, tenantId: string | null): Promise<string> {
    const own = tenantId === null ? null : await this.tenants.current(tenantId)
    const key = own ?? this.service.current
    return new SignJWT(payload)
      .setProtectedHeader({ alg: key.algorithm, kid: key.kid, typ: TOKEN_TYPE })
      .sign(key.privateKey)
  }

  /** @throws PublicError CATALOG_UNAVAILABLE if it is not known whether the tenant has a key of its own. */
  async prepare(tenantId: string): Promise<void> {
    await this.tenants.current(tenantId)
  }

  /** The service's public keys, for `/.well-known/jwks.json`. */
  jwks(): { keys: PublicJwk[] } {
    return this.service.jwks()
  }
}
