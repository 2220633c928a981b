import { fail } from '../../errors.ts'
import { ShareLimit } from '../../lib/share-limit.ts'

export interface LoginSlotsOptions {
  /** Logins under way in this process. */
  readonly max?: number
  /** Logins of one tenant. */
  readonly maxOfTenant?: number
}

/**
 * Limits how many logins are under way. Each login needs a few statements and a hash, and only few hashes are computed at
 * once. So a flood of logins is refused here, before it has cost a statement. A flood at one tenant, or one tenant database
 * that hangs, leaves slots for the other tenants.
 */
export class LoginSlots {
  readonly #underWay: ShareLimit

  constructor({ max = 128, maxOfTenant = 16 }: LoginSlotsOptions = {}) {
    this.#underWay = new ShareLimit({ max, maxOfShare: maxOfTenant })
  }

  /** @throws PublicError RATE_LIMITED when too many are under way, and what `fn` throws. */
  async run<T>(tenantId: string, fn: () => Promise<T>): Promise<T> {
    if (!this.#underWay.tryEnter(tenantId)) throw fail('RATE_LIMITED')
    try {
      return await fn()
    } finally {
      this.#underWay.leave(tenantId)
    }
  }
}
