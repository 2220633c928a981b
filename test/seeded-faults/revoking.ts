import type { SeededFault } from './seeded-fault.ts'

const RESTORED = ['test/faults/restored-people.test.ts']
const REFRESH = ['test/catalog/identity-login.test.ts']
const PUT_RIGHT = ['test/faults/corrected-secrets.test.ts']
const EVERYWHERE = ['test/faults/revoked-everywhere.test.ts']

export const REVOKING: readonly SeededFault[] = [
  {
    name: 'what takes something away is answered before the other gateways apply it',
    file: 'src/http/effective.ts',
    find: 'const counted = await confirmations(seq).catch(() => null)',
    replace: 'const counted = seq === undefined ? await confirmations(seq) : { confirmed: 2, replicas: 2 }',
    tests: EVERYWHERE,
  },
  {
    name: 'a repetition that finds nothing left to take waits for nothing',
    file: 'src/catalog/changes/follower.ts',
    find: 'const awaited = seq ?? (await endOfLog(this.#options.store)).seq',
    replace: 'const awaited = seq ?? 0',
    tests: EVERYWHERE,
  },
  {
    name: "a rotation of the service's keys is confirmed before they have been read",
    file: 'src/gateway/follow-changes.ts',
    find: 'return serviceKeys.request()',
    replace: 'void serviceKeys.request()',
    tests: EVERYWHERE,
  },
  {
    name: 'a restored database is accepted with the generations it has',
    file: 'src/databases/restore-revocations.ts',
    find: 'if (behind.length === 0) return',
    replace: 'if (behind.length >= 0) return',
    tests: RESTORED,
  },
  {
    name: 'generations are raised to what was announced, and not above it',
    file: 'src/databases/restore-revocations.ts',
    find: 'const MARGIN = 1_000_000',
    replace: 'const MARGIN = 0',
    tests: RESTORED,
  },
  {
    name: 'who signs in to a database that went back is not brought up',
    file: 'src/identity/login/login.ts',
    find: 'const current = await withAnnouncedGeneration(parts, session, proved)',
    replace:
      'const current = parts === null ? await withAnnouncedGeneration(parts, session, proved) : proved',
    tests: RESTORED,
  },
  {
    name: 'sessions that a restored database brings back live on',
    file: 'src/identity/login/lost-generations.ts',
    find: 'await revokeSessionsOf({ tenantId, db }, userId)',
    replace: '',
    tests: RESTORED,
  },
  {
    name: 'a new generation of a user begins where the database thinks it was',
    file: 'src/identity/people/users.ts',
    find: '{ generation: sql`greatest(',
    replace: '{ generation: sql`least(',
    tests: RESTORED,
  },
  {
    name: "a new generation of a role's holders begins where the database thinks it was",
    file: 'src/identity/access/roles.ts',
    find: 'where known.id = u.id::text))',
    replace: "where known.id = ''))",
    tests: RESTORED,
  },
  {
    name: 'who signs in while the password is replaced passes for one of a database that went back',
    file: 'src/identity/login/login.ts',
    find: 'if (now === null || now.generation >= lowest) return user',
    replace: 'if (now === null) return user',
    tests: ['test/http/sessions.test.ts'],
  },
  {
    name: 'a refresh token that comes back gets its successor although that has been used',
    file: 'src/identity/login/sessions.ts',
    find: 'and replaced_at is null and revoked_at is null and expires_at > now() and absolute_expires_at > now()\n    for share`)',
    replace: 'and revoked_at is null and expires_at > now() and absolute_expires_at > now()\n    for share`)',
    tests: REFRESH,
  },
  {
    name: 'a refresh token may come back for ever',
    file: 'src/identity/login/sessions.ts',
    find: 'and revoked_at is null and replaced_at > ',
    replace: "and revoked_at is null and replaced_at > now() - interval '1 day' + 0 * ",
    tests: REFRESH,
  },
  {
    name: 'the token before it is enough to find a successor',
    file: 'src/identity/login/sessions.ts',
    find: "key.mac('refresh-successor', `secret:${token.text}`)",
    replace: "createHash('sha256').update(key === null ? '' : token.text).digest()",
    tests: ['test/unit/identity/refresh-token.test.ts'],
  },
  {
    name: 'a sealed connection string that does not open is kept',
    file: 'src/catalog/databases/credentials.ts',
    find: 'this.forget(ref)\n        throw error',
    replace: 'throw error',
    tests: PUT_RIGHT,
  },
  {
    name: 'a data key that no longer fits is kept',
    file: 'src/catalog/vault.ts',
    find: 'this.#opened.delete(tenantId)\n',
    replace: '',
    tests: PUT_RIGHT,
  },
  {
    name: 'a password that is not taken is kept',
    file: 'src/pools/opening/pending-connections.ts',
    find: 'if (isDenied(error)) this.#options.address.onDenied?.()',
    replace: '',
    tests: PUT_RIGHT,
  },
  {
    name: 'the way up to an ancestor goes round in a circle for ever',
    file: 'src/http/act-for.ts',
    find: 'for (let at = target; at !== null && !passed.has(at.tenantId); ) {',
    replace: 'for (let at = target; at !== null; ) {',
    tests: ['test/unit/http/act-for.test.ts'],
  },
  {
    name: 'a refresh token is taken beside the code of another tenant',
    file: 'src/identity/login/sign-in.ts',
    find: 'return named !== undefined && named !== code',
    replace: 'return named === null && named !== code',
    tests: ['test/http/sessions.test.ts'],
  },
]
