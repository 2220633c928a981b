import { createHash, randomBytes } from 'node:crypto'
import { and, asc, eq, inArray, isNull, type SQL, sql } from 'drizzle-orm'
import type { AuthConfig } from '../../catalog/schema.ts'
import type { DataKey } from '../../crypto/keyring.ts'
import { fail } from '../../errors.ts'
import { isCanonicalBase64Url } from '../../lib/base64url.ts'
import { newId, uuidBytes, uuidText } from '../../lib/ids.ts'
import { sessions } from '../../residence/tables.ts'
import type { TenantDb, TenantSession } from '../../sql/session.ts'
import { isId } from '../people/tenant-rows.ts'
import type { Reader } from '../people/users.ts'

/**
 * Refresh tokens: `fhr_<tenant id and session id>_<secret>`. The first part names the tenant and the row, so that no look-up is
 * needed. The second part (256 bits) proves the token. The row contains a hash of the whole text.
 *
 * Each use replaces the token by a new row of the same family. When a replaced token is used again, two callers have it, so its
 * whole family ends. There is one exception: within `refreshReuseSeconds`, and while its successor is unused, the token gets
 * the same successor again, because two tabs of one browser may refresh at once. A token is valid for `refreshTokenSeconds`, a
 * family three times as long.
 */
export interface RefreshToken {
  readonly tenantId: string
  readonly sessionId: string
  readonly text: string
}

/** The result of a rotation: the next token and its user. */
export interface Rotation {
  readonly token: RefreshToken
  readonly userId: string
  readonly familyId: string
}

/** A token that is exchanged, and its successor. */
export interface Succession {
  readonly token: RefreshToken
  readonly next: RefreshToken
}

type Lifetimes = Pick<AuthConfig, 'refreshTokenSeconds'>

const FORM = /^fhr_([A-Za-z0-9_-]{43})_([A-Za-z0-9_-]{43})$/
const FAMILY_FACTOR = 3
const PRUNED_AT_ONCE = 200

/** A new refresh token, of a new family unless one is given. */
export function makeRefreshToken(tenantId: string, sessionId = newId()): RefreshToken {
  return tokenOf(tenantId, sessionId, randomBytes(32))
}

/**
 * The token that replaces this one. It is computed from this one, so that it can be sent again although it is not stored. The
 * computation needs a key of the service, so that the holder of an old token cannot compute its successors.
 */
export function successorOf(key: Pick<DataKey, 'mac'>, token: RefreshToken): RefreshToken {
  const id = key.mac('refresh-successor', `id:${token.text}`).subarray(0, 16)
  // RFC 9562, 5.8: the content of a UUID of version 8 is free.
  id.writeUInt8((id.readUInt8(6) & 0x0f) | 0x80, 6)
  id.writeUInt8((id.readUInt8(8) & 0x3f) | 0x80, 8)
  return tokenOf(token.tenantId, uuidText(id), key.mac('refresh-successor', `secret:${token.text}`))
}

function tokenOf(tenantId: string, sessionId: string, secret: Buffer): RefreshToken {
  const route = Buffer.concat([uuidBytes(tenantId), uuidBytes(sessionId)]).toString('base64url')
  return { tenantId, sessionId, text: `fhr_${route}_${secret.toString('base64url')}` }
}

/** Parses the ids in a refresh token. Returns null for a text of another form. The token may still be invalid. */
export function parseRefreshToken(text: string): RefreshToken | null {
  const [, route, secret] = FORM.exec(text) ?? []
  if (!route || !secret || !isCanonicalBase64Url(route) || !isCanonicalBase64Url(secret)) return null
  const bytes = Buffer.from(route, 'base64url')
  return { tenantId: uuidText(bytes.subarray(0, 16)), sessionId: uuidText(bytes.subarray(16)), text }
}

/**
 * Starts a family for a user whose password was just checked. Returns null if the user's generation has changed since. The
 * statement locks the user's row, so a transaction that ends all login sessions of the user either ends this one too, or
 * prevents it.
 */
export async function startSession(
  { tenantId, db }: Reader,
  user: { readonly id: string; readonly generation: number },
  { refreshTokenSeconds }: Lifetimes,
): Promise<RefreshToken | null> {
  const token = makeRefreshToken(tenantId)
  const { rows } = await db.execute(sql`
    insert into sessions (tenant_id, id, family_id, user_id, token_hash, expires_at, absolute_expires_at)
    (select u.tenant_id, ${token.sessionId}::uuid, ${token.sessionId}::uuid, u.id, ${hashOf(token)}::text,
      ${inSeconds(refreshTokenSeconds)}, ${inSeconds(refreshTokenSeconds * FAMILY_FACTOR)}
    from users u
    where u.tenant_id = ${tenantId} and u.id = ${user.id} and u.generation = ${user.generation}::int
      and u.status = 'ACTIVE'
    for share)
    returning id`)
  return rows.length > 0 ? token : null
}

/**
 * Replaces a token by the next one in one statement, so only one of two simultaneous requests succeeds. The user's row is locked
 * before the login session's, in the order of the transactions that end all login sessions of a user.
 *
 * @returns null for a token that must not be used. `refuseToken` tells why.
 */
export async function rotateSession(
  { tenantId, db }: Reader,
  { token, next }: Succession,
  { refreshTokenSeconds }: Lifetimes,
): Promise<Rotation | null> {
  // Without the parentheses around the last select, the session would classify this statement as one that only reads.
  const { rows } = await db.execute<{ family_id: string; user_id: string }>(sql`
    with owner as (
      select u.id from sessions s join users u on u.tenant_id = s.tenant_id and u.id = s.user_id
      where s.tenant_id = ${tenantId} and s.id = ${token.sessionId} and s.token_hash = ${hashOf(token)}
        and u.status = 'ACTIVE'
      for share of u),
    old as (
      update sessions set replaced_at = now(), last_used_at = now()
      where tenant_id = ${tenantId} and id = ${token.sessionId} and token_hash = ${hashOf(token)}
        and replaced_at is null and revoked_at is null and expires_at > now() and absolute_expires_at > now()
        and user_id = (select id from owner)
      returning family_id, user_id, absolute_expires_at)
    insert into sessions (tenant_id, id, family_id, user_id, token_hash, expires_at, absolute_expires_at)
    (select ${tenantId}::uuid, ${next.sessionId}::uuid, family_id, user_id, ${hashOf(next)}::text,
      least(${inSeconds(refreshTokenSeconds)}, absolute_expires_at), absolute_expires_at
    from old)
    returning family_id, user_id`)
  const [row] = rows
  return row ? { token: next, userId: row.user_id, familyId: row.family_id } : null
}

/**
 * Returns the successor of a token that was replaced a moment ago. Returns null if the successor was used, or if the login session
 * has ended.
 * The rows of user and successor are locked in the order of `rotateSession`.
 */
export async function repeatRotation(
  { tenantId, db }: Reader,
  { token, next }: Succession,
  { refreshReuseSeconds }: Pick<AuthConfig, 'refreshReuseSeconds'>,
): Promise<Rotation | null> {
  // With 0 seconds the query could still match: `now()` of a request that waited for the row is before `replaced_at`.
  if (refreshReuseSeconds === 0) return null
  const { rows } = await db.execute<{ family_id: string; user_id: string }>(sql`
    with replaced as (
      select family_id, user_id from sessions
      where tenant_id = ${tenantId} and id = ${token.sessionId} and token_hash = ${hashOf(token)}
        and revoked_at is null and replaced_at > ${inSeconds(-refreshReuseSeconds)}),
    owner as (
      select u.id from users u join replaced r on r.user_id = u.id
      where u.tenant_id = ${tenantId} and u.status = 'ACTIVE'
      for share of u)
    select family_id, user_id from sessions
    where tenant_id = ${tenantId} and id = ${next.sessionId} and token_hash = ${hashOf(next)}
      and family_id = (select family_id from replaced) and user_id = (select id from owner)
      and replaced_at is null and revoked_at is null and expires_at > now() and absolute_expires_at > now()
    for share`)
  const [row] = rows
  return row ? { token: next, userId: row.user_id, familyId: row.family_id } : null
}

/**
 * Revokes the family of a token that was used a second time, and returns the user's id. Runs outside of any transaction, so that
 * the revocation stays when the caller throws.
 *
 * @throws PublicError INVALID_CREDENTIALS for a token that is unknown, expired or revoked.
 */
export async function refuseToken(session: TenantSession, token: RefreshToken): Promise<string> {
  const known = await findSession(session, token)
  if (!known?.replacedAt) throw fail('INVALID_CREDENTIALS')
  await revokeFamily(session, known.familyId)
  return known.userId
}

/** Ends the token's family and returns its user's id. Returns null if there was nothing to end: an unknown token is no error. */
export async function endSession(session: TenantSession, token: RefreshToken): Promise<string | null> {
  const known = await findSession(session, token)
  if (known === null) return null
  return (await revokeFamily(session, known.familyId)) > 0 ? known.userId : null
}

/** The id of the token's user; null for an unknown token, and for one whose rows were removed. */
export async function ownerOf(session: TenantSession, token: RefreshToken): Promise<string | null> {
  return (await findSession(session, token))?.userId ?? null
}

/**
 * Revokes every token of a family and returns their number. A rotation that runs at the same time locks a row and adds another one
 * that this statement does not see. So the statement is repeated until it finds nothing to revoke.
 */
export async function revokeFamily({ tenantId, db }: Reader, familyId: string): Promise<number> {
  for (let revoked = 0; ; ) {
    const more = await revoke(db, tenantId, eq(sessions.familyId, familyId))
    if (more === 0) return revoked
    revoked += more
  }
}

/** Revokes every token of a user. The transaction must have locked the user's row, so that none is added at the same time. */
export async function revokeSessionsOf({ tenantId, db }: Reader, userId: string): Promise<void> {
  await revoke(db, tenantId, eq(sessions.userId, userId))
}

/** Removes the rows of a user's login sessions that have ended. This cleanup does not wait for locked rows. */
export async function pruneSessions({ tenantId, db }: Reader, userId: string): Promise<void> {
  // The row of a replaced token stays until the token expires, so that a second use is noticed.
  await db.execute(sql`
    delete from sessions where tenant_id = ${tenantId} and id in (
      select id from sessions
      where tenant_id = ${tenantId} and user_id = ${userId}
        and (revoked_at is not null or expires_at <= now() or absolute_expires_at <= now())
      limit ${PRUNED_AT_ONCE} for update skip locked)`)
}

/** Locks rows in the order of their ids, so that two transactions that revoke at once cannot deadlock. */
async function revoke(db: TenantDb, tenantId: string, which: SQL): Promise<number> {
  const inOrder = db
    .select({ id: sessions.id })
    .from(sessions)
    .where(and(eq(sessions.tenantId, tenantId), which, isNull(sessions.revokedAt)))
    .orderBy(asc(sessions.id))
    .for('no key update')
  const revoked = await db
    .update(sessions)
    .set({ revokedAt: sql`now()` })
    .where(and(eq(sessions.tenantId, tenantId), inArray(sessions.id, inOrder)))
    .returning({ id: sessions.id })
  return revoked.length
}

async function findSession({ tenantId, db }: Reader, token: RefreshToken) {
  const { familyId, userId, replacedAt } = sessions
  const [row] = await db
    .select({ familyId, userId, replacedAt })
    .from(sessions)
    .where(
      and(
        eq(sessions.tenantId, tenantId),
        eq(sessions.id, token.sessionId),
        eq(sessions.tokenHash, hashOf(token)),
      ),
    )
  // The user's id goes into the audit log, so a value that is no id is refused.
  return row && isId(row.userId) ? row : null
}

/** Plain SHA-256 is enough: the text has 256 random bits, so it cannot be guessed and needs no key. */
function hashOf(token: RefreshToken): string {
  return createHash('sha256').update(token.text).digest('hex')
}

function inSeconds(seconds: number) {
  return sql`now() + make_interval(secs => ${seconds}::double precision)`
}
