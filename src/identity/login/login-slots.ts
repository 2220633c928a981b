import { fail } from '../../errors.ts'
import { ShareLimit } from '../../lib/share-limit.ts'

export interface LoginSlotsOptions {
  /** Logins at the same time in this process. */
  readonly max?: number
  /** Logins at the same time of one tenant. */
  readonly maxOfTenant?: number
}

/**
 * Limits how many logins run at the same time. Each login needs a few statements and a hash, and only few hashes are computed at
 * once. So a flood of logins is refused here, before it costs a statement. A flood at one tenant, or one tenant database that
 * hangs, leaves slots for the other tenants.
 */
export class LoginSlots {
  readonly #running: ShareLimit

  constructor({ max = 128, maxOfTenant = 16 }: LoginSlotsOptions = {}) {
    this.#running = new ShareLimit({ max, maxOfShare: maxOfTenant })
  }

  /** @throws PublicError RATE_LIMITED if too many logins are running; otherwise what `fn` throws. */
  async run<T>(tenantId: string, fn: () => Promise<T>): Promise<T> {
    if (!this.#running.tryEnter(tenantId)) throw fail('RATE_LIMITED')
    try {
      return await fn()
    } finally {
      this.#running.leave(tenantId)
    }
  }
}
