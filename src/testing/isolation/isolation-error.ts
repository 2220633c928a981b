/** A route through which one tenant reached another. */
export interface Leak {
  readonly route: string
  /** The attempt and its result. */
  readonly how: string
}

/** Isolation is not proven. Lists everything that was found. */
export class IsolationError extends Error {
  override readonly name = 'IsolationError'
  readonly leaks: readonly Leak[]
  /** Routes that did not succeed for their own tenant, so that nothing is proven about them, each with the reason. */
  readonly unproven: readonly { readonly route: string; readonly reason: string }[]
  /** Isolation rules that a database violates. */
  readonly violations: readonly string[]

  constructor({ leaks, unproven, violations }: Pick<IsolationError, 'leaks' | 'unproven' | 'violations'>) {
    const lines = [
      ...leaks.map(({ route, how }) => `${route}: ${how}`),
      ...violations.map((violation) => `the database ${violation}`),
      ...unproven.map(({ route, reason }) => `${route} is unproven, give an example: ${reason}`),
    ]
    super(`The isolation of tenants is not proven:\n  ${lines.join('\n  ')}`)
    this.leaks = leaks
    this.unproven = unproven
    this.violations = violations
  }
}
