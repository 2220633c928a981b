import { fail } from '../errors.ts'

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
  readonly #max: number
  readonly #maxOfTenant: number
  readonly #underWay = new Map<string, number>()
  #total = 0

  constructor({ max = 128, maxOfTenant = 16 }: LoginTurnsOptions = {}) {
    this.#max = max
    this.#maxOfTenant = maxOfTenant
  }

  /** @throws PublicError RATE_LIMITED when too many are under way; else whatever `fn` throws. */
  async run<T>(tenantId: string, fn: () => Promise<T>): Promise<T> {
    const ofTenant = this.#underWay.get(tenantId) ?? 0
    if (this.#total >= this.#max || ofTenant >= this.#maxOfTenant) throw fail('RATE_LIMITED')
    this.#total += 1
    this.#underWay.set(tenantId, ofTenant + 1)
    try {
      return await fn()
    } finally {
      this.#leave(tenantId)
    }
  }

  #leave(tenantId: string): void {
    this.#total -= 1
    const left = (this.#underWay.get(tenantId) ?? 1) - 1
    if (left > 0) this.#underWay.set(tenantId, left)
    else this.#underWay.delete(tenantId)
  }
}
