/** A unit that waits for a lane. */
export interface WaitingUnit {
  readonly tenantId: string
  /** When it began to wait, in milliseconds of `performance.now()`. */
  readonly askedAt: number
}

/**
 * Units that wait for a lane. Tenants take turns, and each tenant's units keep their order: a tenant with many waiting units
 * delays another tenant by one unit, not by all of them.
 */
export class WaitingUnits<U extends WaitingUnit> {
  /** By tenant, in the order of their turns. No list is empty. */
  readonly #byTenant = new Map<string, U[]>()
  /** A plain field, so that a unit that ends while none waits runs no code of this class. */
  size = 0

  countOf(tenantId: string): number {
    return this.#byTenant.get(tenantId)?.length ?? 0
  }

  add(unit: U): void {
    const units = this.#byTenant.get(unit.tenantId)
    if (units === undefined) this.#byTenant.set(unit.tenantId, [unit])
    else units.push(unit)
    this.size += 1
  }

  /** Takes the next unit of the first tenant that `mayTake` names. That tenant's next turn comes after all others. */
  take(mayTake: (tenantId: string) => boolean): U | undefined {
    for (const [tenantId, units] of this.#byTenant) {
      if (!mayTake(tenantId)) continue
      const unit = units.shift()
      this.#byTenant.delete(tenantId)
      if (units.length > 0) this.#byTenant.set(tenantId, units)
      this.size -= 1
      return unit
    }
    return undefined
  }

  /** Takes all units that have waited since before `askedBefore`. */
  takeOlder(askedBefore: number): U[] {
    if (this.size === 0) return []
    const taken: U[] = []
    for (const [tenantId, units] of this.#byTenant) {
      const old = units.findIndex(({ askedAt }) => askedAt >= askedBefore)
      taken.push(...units.splice(0, old === -1 ? units.length : old))
      if (units.length === 0) this.#byTenant.delete(tenantId)
    }
    this.size -= taken.length
    return taken
  }
}
