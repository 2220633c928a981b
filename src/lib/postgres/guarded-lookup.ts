import type { LookupFunction } from 'node:net'
import { type EgressPolicy, resolveTarget } from './egress.ts'

/**
 * A socket's lookup that returns only addresses that the policy allows. So the socket connects to the address that was checked,
 * and no second lookup can return another. It is also called for literal addresses.
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
