import { and, eq, sql } from 'drizzle-orm'
import { fail } from '../errors.ts'
import { idempotencyKeys as kept } from '../residence/tables.ts'
import type { TenantDb, TenantSession } from '../sql/session.ts'

/** The answer of a command. `body` is JSON. `headers` describe the result (`location`, `etag`). */
export interface CommandAnswer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body: unknown
}

/** One command, with the key that its caller gave it. */
export interface Ticket {
  /** SHA-256 of principal and key, in hex. */
  readonly key: string
  /** SHA-256 of the request. `answer` is null for a repeated request; then an upload has to be read here. */
  fingerprint(answer: CommandAnswer | null): Promise<string> | string
}

const LIFETIME = sql`now() + interval '24 hours'`
/** Each new key deletes up to this many expired keys. It is more than one, so that expired keys cannot accumulate. */
const PRUNED_AT_ONCE = 5

/**
 * Runs a command once for its key. The answer is stored in the tenant database, in the transaction of the change. A second request
 * with the key waits for the lock on the key's row and gets the same answer. A failed command is rolled back with its key, so it may be
 * repeated.
 *
 * @throws PublicError IDEMPOTENCY_MISMATCH; any error that `run` throws
 */
export function runOnce(
  session: TenantSession,
  ticket: Ticket,
  run: (session: TenantSession) => Promise<CommandAnswer>,
): Promise<{ answer: CommandAnswer; replayed: boolean }> {
  const { tenantId } = session
  return session.transaction(async (db, inside) => {
    if (!(await claim(db, tenantId, ticket.key))) {
      return { answer: await findAnswer(db, tenantId, ticket), replayed: true }
    }
    const answer = await run(inside)
    await storeAnswer(db, tenantId, {
      key: ticket.key,
      fingerprint: await ticket.fingerprint(answer),
      answer,
    })
    return { answer, replayed: false }
  })
}

/** False if the key is in use. An expired key is taken as a new one. */
async function claim(db: TenantDb, tenantId: string, key: string): Promise<boolean> {
  const fresh = { fingerprint: '', status: null, headers: null, body: null, expiresAt: LIFETIME }
  const claimed = await db
    .insert(kept)
    .values({ tenantId, key, fingerprint: '', expiresAt: LIFETIME })
    .onConflictDoUpdate({
      target: [kept.tenantId, kept.key],
      set: fresh,
      setWhere: sql`${kept.expiresAt} <= now()`,
    })
    .returning({ key: kept.key })
  return claimed.length > 0
}

async function findAnswer(db: TenantDb, tenantId: string, ticket: Ticket): Promise<CommandAnswer> {
  const [found] = await db
    .select({ fingerprint: kept.fingerprint, status: kept.status, headers: kept.headers, body: kept.body })
    .from(kept)
    .where(and(eq(kept.tenantId, tenantId), eq(kept.key, ticket.key)))
  // The key expired and was deleted between the two statements. The next attempt finds it free.
  if (found === undefined) throw fail('CONFLICT', { detail: 'The idempotency key has just expired.' })
  const { fingerprint, status, headers, body } = found
  if (fingerprint !== (await ticket.fingerprint(null))) throw fail('IDEMPOTENCY_MISMATCH')
  if (status === null) throw new Error('an idempotency key was committed without its answer')
  return { status, headers: headers ?? {}, body }
}

/** Stores the answer with its key. Deletes a few expired keys, except those that another transaction has locked. */
async function storeAnswer(
  db: TenantDb,
  tenantId: string,
  { key, fingerprint, answer }: { key: string; fingerprint: string; answer: CommandAnswer },
): Promise<void> {
  const { status, headers = {}, body } = answer
  await db.execute(sql`
    with expired as (
      select key from ${kept} where tenant_id = ${tenantId} and expires_at <= now()
      order by expires_at limit ${PRUNED_AT_ONCE} for update skip locked
    ), pruned as (
      delete from ${kept} using expired where ${kept}.tenant_id = ${tenantId} and ${kept}.key = expired.key
    )
    update ${kept} set fingerprint = ${fingerprint}, status = ${status},
      headers = ${JSON.stringify(headers)}::jsonb, body = ${JSON.stringify(body ?? null)}::jsonb
    where tenant_id = ${tenantId} and key = ${key}`)
}
