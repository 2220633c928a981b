import { createHash, randomBytes } from 'node:crypto'
import { and, eq, isNull, sql } from 'drizzle-orm'
import type { AuthConfig } from '../catalog/schema.ts'
import { fail } from '../errors.ts'
import { newId } from '../lib/ids.ts'
import { sessions } from '../tenant/schema.ts'
import type { TenantSession } from '../tenant/session.ts'
import type { Reader } from './users.ts'

/**
 * Refresh tokens: `fhr_<tenant id and session id>_<secret>`. The first part routes the token to its tenant and row
 * without a look-up; the second (256 bits) proves it. The row keeps a hash of the whole text.
 *
 * Each use replaces the token by a new row of the same family. A token that was replaced and comes back is
 * in two hands, so its whole family ends. A token lasts `refreshTokenSeconds`, a family three times that.
 */
export interface RefreshToken {
  readonly tenantId: string
  readonly sessionId: string
  readonly text: string
}

/** What a rotation gives: the next token, and whose it is. */
export interface Rotation {
  readonly token: RefreshToken
  readonly userId: string
  readonly familyId: string
}

type Lifetimes = Pick<AuthConfig, 'refreshTokenSeconds'>

const FORM = /^fhr_([A-Za-z0-9_-]{43})_([A-Za-z0-9_-]{43})$/
const FAMILY_FACTOR = 3

/** A new refresh token, of a new family unless one is given. */
export function makeRefreshToken(tenantId: string, sessionId = newId()): RefreshToken {
  const route = Buffer.concat([uuidBytes(tenantId), uuidBytes(sessionId)]).toString('base64url')
  return { tenantId, sessionId, text: `fhr_${route}_${randomBytes(32).toString('base64url')}` }
}

/** Reads a refresh token's route; null for what has not its exact form. Says nothing about its being valid. */
export function parseRefreshToken(text: string): RefreshToken | null {
  const [, route, secret] = FORM.exec(text) ?? []
  if (!route || !secret || !isCanonical(route) || !isCanonical(secret)) return null
  const bytes = Buffer.from(route, 'base64url')
  return { tenantId: uuidText(bytes.subarray(0, 16)), sessionId: uuidText(bytes.subarray(16)), text }
}

/** Begins a family for a user who has just proved who they are. */
export async function startSession(
  session: TenantSession,
  userId: string,
  { refreshTokenSeconds }: Lifetimes,
): Promise<RefreshToken> {
  const token = makeRefreshToken(session.tenantId)
  await session.db.insert(sessions).values({
    tenantId: session.tenantId,
    id: token.sessionId,
    familyId: token.sessionId,
    userId,
    tokenHash: hashOf(token),
    expiresAt: inSeconds(refreshTokenSeconds),
    absoluteExpiresAt: inSeconds(refreshTokenSeconds * FAMILY_FACTOR),
  })
  return token
}

/**
 * Replaces a token by the next one, in one statement: of two that use it at once, one wins.
 *
 * @returns null for a token that is not to be used; `refuseToken` says why.
 */
export async function rotateSession(
  { tenantId, db }: Reader,
  token: RefreshToken,
  { refreshTokenSeconds }: Lifetimes,
): Promise<Rotation | null> {
  const next = makeRefreshToken(tenantId)
  // The parentheses around the last select keep it from being taken for a statement that only reads.
  const { rows } = await db.execute<{ family_id: string; user_id: string }>(sql`
    with old as (
      update sessions set replaced_at = now(), last_used_at = now()
      where tenant_id = ${tenantId} and id = ${token.sessionId} and token_hash = ${hashOf(token)}
        and replaced_at is null and revoked_at is null and expires_at > now() and absolute_expires_at > now()
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
 * Why a token was not rotated. Outside of any transaction: what it revokes is to last, though it throws.
 *
 * @throws PublicError REFRESH_TOKEN_REUSED for one that was replaced; its family is revoked by then.
 * @throws PublicError INVALID_CREDENTIALS for one that is unknown, expired or revoked.
 */
export async function refuseToken(session: TenantSession, token: RefreshToken): Promise<never> {
  const known = await findSession(session, token)
  if (!known?.replacedAt) throw fail('INVALID_CREDENTIALS')
  await revokeFamily(session, known.familyId)
  throw fail('REFRESH_TOKEN_REUSED')
}

/** Ends the token's family. A token that nobody has ends nothing, and is no error. */
export async function endSession(session: TenantSession, token: RefreshToken): Promise<void> {
  const known = await findSession(session, token)
  if (known) await revokeFamily(session, known.familyId)
}

/**
 * Revokes every token of a family. A rotation that runs at this moment holds a row that we wait for and adds one
 * that our statement did not see: so again, until nothing was left to revoke.
 */
export async function revokeFamily(session: TenantSession, familyId: string): Promise<void> {
  let revoked: unknown[]
  do {
    revoked = await session.db
      .update(sessions)
      .set({ revokedAt: sql`now()` })
      .where(
        and(
          eq(sessions.tenantId, session.tenantId),
          eq(sessions.familyId, familyId),
          isNull(sessions.revokedAt),
        ),
      )
      .returning({ id: sessions.id })
  } while (revoked.length > 0)
}

async function findSession(session: TenantSession, token: RefreshToken) {
  const [row] = await session.db
    .select({ familyId: sessions.familyId, replacedAt: sessions.replacedAt })
    .from(sessions)
    .where(
      and(
        eq(sessions.tenantId, session.tenantId),
        eq(sessions.id, token.sessionId),
        eq(sessions.tokenHash, hashOf(token)),
      ),
    )
  return row ?? null
}

/** Plain SHA-256: the text holds 256 random bits, so there is nothing to guess that a key would protect. */
function hashOf(token: RefreshToken): string {
  return createHash('sha256').update(token.text).digest('hex')
}

function inSeconds(seconds: number) {
  return sql`now() + make_interval(secs => ${seconds}::double precision)`
}

function isCanonical(part: string): boolean {
  return Buffer.from(part, 'base64url').toString('base64url') === part
}

function uuidBytes(uuid: string): Buffer {
  return Buffer.from(uuid.replaceAll('-', ''), 'hex')
}

function uuidText(bytes: Buffer): string {
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}
