import { fail } from '../../errors.ts'
import { ShareLimit } from '../../lib/share-limit.ts'

export interface LoginTurnsOptions {
  /** Logins under way in this process. */
  readonly max?: number
  /** Of one tenant. */
  readonly maxOfTenant?: number
}

/**
 * How many logins may be under way. Each needs a few statements and a hash, and hashes take turns: a
 * flood is refused here, at once, before it has cost a statement, and a flood at one tenant, or a tenant's database that
 * hangs, leaves room for the others.
 */
export class LoginTurns {
  readonly #underWay: ShareLimit

  constructor({ max = 128, maxOfTenant = 16 }: LoginTurnsOptions = {}) {
    this.#underWay = new ShareLimit({ max, maxOfShare: maxOfTenant })
  }

  /** @throws PublicError RATE_LIMITED when too many are under way; else whatever `fn` throws. */
  async run<T>(tenantId: string, fn: () => Promise<T>): Promise<T> {
    if (!this.#underWay.tryEnter(tenantId)) throw fail('RATE_LIMITED')
    try {
      return await fn()
    } finally {
      this.#underWay.leave(tenantId)
    }
  }
}
