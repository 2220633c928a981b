import type { LookupFunction } from 'node:net'
import { type EgressPolicy, resolveTarget } from './egress.ts'

/**
 * A socket's look-up that answers only with addresses the policy allows, so that the address that was checked is the one
 * that is connected to and no second look-up can bring another. Also asked for addresses written as such.
 */
export function guardedLookup(policy: EgressPolicy, port: number, timeoutMs: number): LookupFunction {
  return (host, options, callback) => {
    resolveTarget({ host, port }, policy, { timeoutMs }).then(
      ({ address, family }) => {
        if (options.all === true) callback(null, [{ address, family }])
        else callback(null, address, family)
      },
      (error: NodeJS.ErrnoException) => callback(error, ''),
    )
  }
}
