import type { FastifyReply } from 'fastify'
import type { HttpDeps } from './deps.ts'

interface TakingPatch {
  readonly status?: unknown
  readonly roles?: unknown
  readonly password?: unknown
}

const HEADER = 'freehold-effective'

/**
 * Waits a few seconds at most until every live replica has applied a change that takes rights away. A header says how many
 * replicas have confirmed it. `seq` is the change's number. It is null if a repeated request changed nothing: then this waits
 * for all changes up to now, because the first request's change is among them.
 *
 * The change is committed in any case. If the catalog cannot be asked, the header is left out.
 */
export async function whenEffective(
  { confirmations }: Pick<HttpDeps, 'confirmations'>,
  reply: FastifyReply,
  seq: number | null,
): Promise<void> {
  const counted = await confirmations(seq).catch(() => null)
  if (counted === null) return
  reply.header(HEADER, `confirmed=${counted.confirmed}, replicas=${counted.replicas}`)
}

/** True if a change of a user or an account may take rights away. The answer then waits for the replicas. */
export function takesAway({ status, roles, password }: TakingPatch): boolean {
  return status === 'INACTIVE' || roles !== undefined || password !== undefined
}
