import type { FastifyReply } from 'fastify'
import type { HttpDeps } from './deps.ts'

interface TakingPatch {
  readonly status?: unknown
  readonly roles?: unknown
  readonly password?: unknown
}

const HEADER = 'freehold-effective'

/**
 * Waits until every live replica refuses what was taken away, for seconds at most, and says in a header how many of how
 * many do. `seq` is the change's number; null where a repetition found nothing left to take: then all changes up to now
 * are waited for, the first of its kind among them.
 *
 * The change is made, whatever comes of the waiting: where the catalog cannot be asked, the header is left out.
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

/** Whether a change of a person or an account is of the kind that may take something away: then it is waited for. */
export function takesAway({ status, roles, password }: TakingPatch): boolean {
  return status === 'INACTIVE' || roles !== undefined || password !== undefined
}
