import { APPLICATIONS } from './applications.ts'
import { AUDIT_PERSONS } from './audit-persons.ts'
import { CHECKS } from './checks.ts'
import { CHURN_FAULTS } from './churn.ts'
import { COHERENCE } from './coherence.ts'
import { BETWEEN_PARTS } from './combined-faults.ts'
import { COMMAND } from './command.ts'
import { CONNECTION_STRINGS } from './connection-strings.ts'
import { DISASTERS } from './disasters.ts'
import { DOCUMENTS } from './documents.ts'
import { ISSUERS } from './issuers.ts'
import { JOBS } from './jobs.ts'
import { LANE_WIRE } from './lane-wire.ts'
import { LANE_FAULTS } from './lanes.ts'
import { OWN_JOBS_FAULTS } from './own-jobs.ts'
import { POOLERS } from './poolers.ts'
import { PROCESS } from './process.ts'
import { PROTOCOL } from './protocol.ts'
import { REVOKING } from './revoking.ts'
import { ROLLING_STOP } from './rolling-stop.ts'
import { RUNS } from './runs.ts'
import { SCALE } from './scale.ts'
import { SCHEMA } from './schema.ts'
import { SEAL } from './seal.ts'
import type { SeededFault } from './seeded-fault.ts'
import { SERVERS } from './servers.ts'
import { TESTING } from './testing.ts'

const TENANT_RULES = 'tenant-migrations/core/0003_seal.sql'
const ISOLATION = ['test/guarantees/row-isolation.test.ts', 'test/migrations/isolation-audit.test.ts']
const SESSION = ['test/pools/tenant-session.test.ts']

const SECRETS: readonly SeededFault[] = [
  {
    name: 'sealed values are not bound to their place (no additional data)',
    file: 'src/crypto/envelope.ts',
    find: 'header, ...fields, version])',
    replace: 'header])',
    tests: ['test/unit/crypto/envelope.test.ts'],
  },
  {
    name: 'sealed values are not bound to the version of their row',
    file: 'src/crypto/envelope.ts',
    find: 'header, ...fields, version])',
    replace: 'header, ...fields])',
    tests: ['test/unit/crypto/envelope.test.ts'],
  },
  {
    name: 'a short key is padded',
    file: 'src/crypto/key-source.ts',
    find: 'if (bytes.length !== KEY_BYTES) throw',
    replace: 'if (bytes.length > KEY_BYTES) throw',
    tests: ['test/unit/crypto/key-source.test.ts'],
  },
  {
    name: 'a secret can be printed',
    file: 'src/lib/secret.ts',
    find: "toJSON(): string {\n    return '[secret]'",
    replace: 'toJSON(): string {\n    return this.#text',
    tests: ['test/unit/lib/secret.test.ts'],
  },
  {
    name: 'a password is said in clear to a server that has not proven who it is',
    file: 'src/lib/postgres/guarded-client.ts',
    find: 'if (config.trustsServer !== true) {',
    replace: 'if (config.trustsServer === null) {',
    tests: ['test/faults/registration.test.ts'],
  },
]

const ISOLATION_FAULTS: readonly SeededFault[] = [
  {
    name: 'row-level security is not forced',
    file: TENANT_RULES,
    find: "  EXECUTE pg_catalog.format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', p_table);\n",
    replace: '',
    tests: ISOLATION,
  },
  {
    name: 'policies do not check what is written',
    file: TENANT_RULES,
    find: "FOR ALL USING (%s) WITH CHECK (%s)', p_table, v_own, v_open)",
    replace: "FOR ALL USING (%s) WITH CHECK (true)', p_table, v_own)",
    tests: ISOLATION,
  },
  {
    name: 'the tenant of a session outlives its transaction',
    file: 'src/pools/wire/tenant-unit.ts',
    find: "pg_catalog.set_config('app.tenant_id', $1, true)",
    replace: "pg_catalog.set_config('app.tenant_id', $1, false)",
    tests: ['test/pools/own-sql.test.ts'],
  },
  {
    name: 'a tenant is entered at any epoch (no generation check)',
    file: TENANT_RULES,
    find: 'IF (v_epoch OPERATOR(pg_catalog.=) p_epoch) IS NOT TRUE THEN',
    replace: 'IF false THEN',
    tests: ISOLATION,
  },
  {
    name: 'a fence is not respected',
    file: TENANT_RULES,
    find: "IF (v_state OPERATOR(pg_catalog.=) 'open') IS NOT TRUE THEN",
    replace: 'IF false THEN',
    tests: SESSION,
  },
  {
    name: 'a tenant is entered where it does not live (no stamp)',
    file: TENANT_RULES,
    find: 'SELECT h.epoch, h.state INTO v_epoch, v_state FROM public.freehold_here AS h;',
    replace: "SELECT p_epoch, 'open' INTO v_epoch, v_state;",
    tests: SESSION,
  },
  {
    name: 'a role that bypasses row-level security may serve',
    file: 'src/databases/checks.ts',
    find: "if ((await findRoleViolations(client)).length > 0) throw new CheckFailure('ROLE_BYPASSES_RLS')",
    replace: '',
    tests: ['test/faults/registration.test.ts'],
  },
  {
    name: "another tenant's database is accepted",
    file: 'src/databases/checks.ts',
    find: "if (rows.some((row) => row.tenant_id !== tenantId)) throw new CheckFailure('BELONGS_TO_ANOTHER_TENANT')",
    replace: '',
    tests: ['test/faults/registration.test.ts'],
  },
  {
    name: "the catalog's own database is accepted as a tenant's",
    file: 'src/databases/checks.ts',
    find: 'if (lend === undefined || (await isSameDatabase(client, lend)))',
    replace: 'if (forbidden.length > 1_000)',
    tests: ['test/faults/registration.test.ts'],
  },
]

const CONNECTIONS: readonly SeededFault[] = [
  {
    name: 'a connection of unknown state serves the next request',
    file: 'src/pools/tenant-pool.ts',
    find: 'broken = !keep(error)',
    replace: 'broken = false',
    tests: ['test/faults/killed-backends.test.ts', ...SESSION],
  },
  {
    name: 'an open transaction is given back',
    file: 'src/sql/tenant-transaction.ts',
    find: "return this.#mode === 'idle' || this.#mode === 'done'",
    replace: 'return true',
    tests: SESSION,
  },
  {
    name: 'an idle connection that dies ends the process',
    file: 'src/lib/postgres/pg.ts',
    find: "pool.on('error', () => undefined)",
    replace: '',
    tests: SESSION,
  },
  {
    name: 'a pool is closed under those who use it (no lease)',
    file: 'src/lib/cache/lease-cache.ts',
    find: 'if (entry.leases === 0) this.#finish(entry)',
    replace: 'if (entry.leases >= 0) this.#finish(entry)',
    tests: ['test/unit/lib/lease-cache.test.ts'],
  },
  {
    name: 'one connection more than the limit',
    file: 'src/pools/budget.ts',
    find: 'if (this.#open >= this.#limits.max ||',
    replace: 'if (this.#open > this.#limits.max ||',
    tests: ['test/unit/pools/budget.test.ts'],
  },
  {
    name: 'a permit is kept for a connection that may not be tried yet',
    file: 'src/pools/opening/pending-connections.ts',
    find: '      this.#returnPermit()\n      return false',
    replace: '      return false',
    tests: ['test/pools/tenant-pool.test.ts'],
  },
  {
    name: 'the pools do not end before a silent server has had all its time',
    file: 'src/pools/pool-manager.ts',
    find: 'pool.cutPending()',
    replace: 'void pool',
    tests: ['test/unit/pools/connections.test.ts'],
  },
  {
    name: 'a health round asks again whom it has asked, and does not end',
    file: 'src/health/monitor.ts',
    find: 'before ??= claimedAt(entries)',
    replace: '',
    tests: ['test/catalog/health-monitor.test.ts'],
  },
  {
    name: 'the rest of a form is not read once it is refused, so that its sender never hears why',
    file: 'src/applications/property/routes/media.ts',
    find: 'if (!raw.readableEnded) raw.unpipe().resume()',
    replace: 'if (raw.readableEnded) raw.unpipe().resume()',
    tests: ['test/http/media.test.ts'],
  },
  {
    name: 'who does not read their answer keeps it open for ever',
    file: 'src/http/server.ts',
    find: 'connectionTimeout: stallTimeoutMs',
    replace: 'connectionTimeout: 0',
    tests: ['test/unit/http/stalled-reader.test.ts'],
  },
  {
    name: "one tenant's slow uploads take every turn",
    file: 'src/lib/share-limit.ts',
    find: ' || ofShare >= maxOfShare',
    replace: ' || maxOfShare < 0',
    tests: ['test/unit/lib/turns.test.ts', 'test/http/media.test.ts'],
  },
  {
    name: 'a body of a hundred thousand faults is put into words',
    file: 'src/http/transport/json-body.ts',
    find: 'if (this.#values > MAX_VALUES)',
    replace: 'if (this.#values > MAX_VALUES * 1_000)',
    tests: ['test/unit/http/json-body.test.ts'],
  },
  {
    name: 'a form is waited for whose sender has gone before anybody began to read it',
    file: 'src/applications/property/routes/upload.ts',
    find: 'if (request.raw.destroyed) return',
    replace: 'if (request.raw.readableEnded) return',
    tests: ['test/http/media.test.ts'],
  },
  {
    name: 'a connection that comes too late for the request that waited for it is forgotten',
    file: 'src/pools/tenant-pool.ts',
    find: '      else if (client !== undefined) this.#hand(client)\n',
    replace: '',
    tests: ['test/unit/pools/connections.test.ts'],
  },
  {
    name: 'a connection that failed too late for the request that waited for it is not asked for again',
    file: 'src/pools/tenant-pool.ts',
    find: 'if (client === undefined) queueMicrotask',
    replace: 'if (client === undefined && !isLate) queueMicrotask',
    tests: ['test/unit/pools/connections.test.ts'],
  },
  {
    name: 'a connection in the place of one that died counts as being opened while it is used',
    file: 'src/pools/tenant-pool.ts',
    find: 'if (client !== undefined) this.#endPending(client)',
    replace: 'if (client !== undefined && this.#pending.requested > 0) this.#endPending(client)',
    tests: ['test/unit/pools/connections.test.ts'],
  },
  {
    name: 'an idle connection counts as promised for a moment longer than it is',
    file: 'src/pools/tenant-pool.ts',
    find: '      this.#claimed -= 1\n      receive(client)',
    replace:
      '      void Promise.resolve().then(() => undefined).then(() => { this.#claimed -= 1 })\n      receive(client)',
    tests: ['test/unit/pools/connections.test.ts'],
  },
  {
    name: 'a permit comes back before its socket is closed',
    file: 'src/pools/opening/pending-connections.ts',
    find: "client.once('end', () => {",
    replace: "client.once('connect', () => {",
    tests: ['test/faults/killed-backends.test.ts', 'test/faults/shared-budget.test.ts'],
  },
  {
    name: 'a replica takes its part before the others have let go of it',
    file: 'src/catalog/changes/replicas.ts',
    find: 'lesser(this.#partAmong(others), free)',
    replace: 'this.#partAmong(others)',
    tests: ['test/catalog/replicas.test.ts'],
  },
  {
    name: "after an outage of the catalog the first takes what is the others'",
    file: 'src/catalog/changes/replicas.ts',
    find: 'this.isSteady ? isHolding : beatWithin(this.#heardWithinMs)',
    replace: 'isHolding',
    tests: ['test/catalog/replicas.test.ts'],
  },
  {
    name: 'that we have no connection to spare is the fault of the database',
    file: 'src/databases/validate-database.ts',
    find: 'if (error instanceof NoAdmissionError ||',
    replace: 'if (error === null ||',
    tests: ['test/catalog/validation-without-connections.test.ts'],
  },
  {
    name: 'an answer without end is listened to',
    file: 'src/lib/wire/backend-messages.ts',
    find: 'if (this.#answerBytes + announced > this.#options.maxAnswerBytes)',
    replace: 'if (announced === Infinity)',
    tests: ['test/pools/guarded-client.test.ts'],
  },
]

const OUTCOMES: readonly SeededFault[] = [
  {
    name: 'a write whose answer was lost is made a second time',
    file: 'src/sql/statement-verdict.ts',
    find: "return isRead && (code === undefined || isLost(error)) ? 'again' : 'final'",
    replace: "return code === undefined || isLost(error) ? 'again' : 'final'",
    tests: ['test/pools/outcome.test.ts', 'test/faults/outcome-unknown.test.ts'],
  },
  {
    name: 'a lost answer to COMMIT is told as a failure',
    file: 'src/lib/postgres/outcome.ts',
    find: "throw isRefused ? error : fail('OUTCOME_UNKNOWN', { cause: error })",
    replace: 'throw error',
    tests: ['test/pools/outcome.test.ts', 'test/faults/outcome-unknown.test.ts'],
  },
  {
    name: 'a dead server is tried without a pause',
    file: 'src/pools/opening/breaker.ts',
    find: 'this.#openUntil = this.#failures > 0 ? Math.max(this.#openUntil, until) : until',
    replace: 'this.#openUntil = 0 * until',
    tests: ['test/unit/pools/breaker.test.ts', 'test/faults/dead-server.test.ts'],
  },
  {
    name: 'one attempt that hangs keeps everybody from a server',
    file: 'src/pools/opening/breakers.ts',
    find: 'countedForMs: COUNTED_FOR_MS,',
    replace: '',
    tests: ['test/pools/slow-server.test.ts'],
  },
  {
    name: 'a tenant in a hurry closes a slow server to its neighbours',
    file: 'src/pools/opening/attempt.ts',
    find: 'SILENCE_MS = 2_950',
    replace: 'SILENCE_MS = 0',
    tests: ['test/pools/slow-server.test.ts'],
  },
  {
    name: 'a wrong password is said again and again',
    file: 'src/pools/opening/breaker.ts',
    find: 'if (beyond < 0) this.failed(attempt, error)',
    replace: 'if (beyond < 1e9) this.failed(attempt, error)',
    tests: ['test/unit/pools/breakers.test.ts', 'test/faults/dead-server.test.ts'],
  },
]

const PLACES: readonly SeededFault[] = [
  {
    name: 'a copy of a database is taken for the database',
    file: 'src/pools/opening/pending-connections.ts',
    find: 'address.expected !== undefined &&',
    replace: 'address.expected === null &&',
    tests: ['test/faults/swapped-database.test.ts'],
  },
  {
    name: 'a statement begins on a route that was changed meanwhile',
    file: 'src/sql/current-route.ts',
    find: 'throw new RouteChangedError()',
    replace: 'return',
    tests: ['test/pools/tenant-session.test.ts', 'test/faults/changes-under-load.test.ts'],
  },
]

const ROTATION: readonly SeededFault[] = [
  {
    name: 'a key wrapped anew replaces whatever stands there (no compare-and-swap)',
    file: 'src/catalog/key-rotations.ts',
    find: 'where d.id = anew.id and d.row_version = anew.row_version',
    replace: 'where d.id = anew.id',
    tests: ['test/catalog/key-rotations.test.ts'],
  },
  {
    name: 'a key is retired while rows need it',
    file: 'src/catalog/vault.ts',
    find: 'if (missing.length > 0) throw',
    replace: 'if (missing.length > 1e6) throw',
    tests: ['test/catalog/vault.test.ts'],
  },
  {
    name: 'a rotation begins while a replica seals under another key',
    file: 'src/catalog/key-rotations.ts',
    find: 'if (others.length > 0) return others',
    replace: '',
    tests: ['test/catalog/key-rotations.test.ts'],
  },
]

const CHANGES: readonly SeededFault[] = [
  {
    name: 'a route that was overtaken while it was read is kept (no generation)',
    file: 'src/lib/cache/fresh-cache.ts',
    find: 'return cleared || invalidated.has(id)',
    replace: 'return false',
    tests: [
      'test/unit/lib/fresh-cache.test.ts',
      'test/unit/catalog/directory.test.ts',
      'test/unit/identity/role-cache.test.ts',
      'test/unit/identity/catalog-row-cache.test.ts',
    ],
  },
  {
    name: 'known routes serve for ever without the catalog',
    file: 'src/lib/cache/fresh-cache.ts',
    find: 'return now - Math.max(loadedAt, this.#confirmedAt) < this.#options.maxStalenessMs',
    replace: 'return true',
    tests: ['test/unit/lib/fresh-cache.test.ts', 'test/unit/catalog/directory.test.ts'],
  },
  {
    name: 'changes are numbered without a lock',
    file: 'src/catalog/changes/follower.ts',
    find: 'select pg_advisory_xact_lock(',
    replace: 'select abs(',
    tests: ['test/catalog/changes.test.ts'],
  },
  {
    name: 'the log of changes is read only after a notification',
    file: 'src/catalog/changes/follower.ts',
    find: 'setTimeout(() => this.#woken.resolve(), waitMs)',
    replace: 'setTimeout(() => undefined, waitMs)',
    tests: ['test/catalog/changes.test.ts', 'test/faults/replicas.test.ts'],
  },
  {
    name: 'work whose claim has gone to another replica still counts',
    file: 'src/catalog/databases/claims.ts',
    find: 'return and(eq(table.id, id), eq(table.rowVersion, rowVersion), owner)',
    replace: 'return eq(table.id, id)',
    tests: ['test/catalog/databases.test.ts'],
  },
  {
    name: 'two claims by one process cannot be told apart',
    file: 'src/catalog/databases/claims.ts',
    find: 'claimedBy: newId()',
    replace: "claimedBy: '00000000-0000-7000-8000-000000000000'",
    tests: ['test/catalog/databases.test.ts'],
  },
  {
    name: 'work stands still after the clock of the catalog was set back',
    file: 'src/catalog/moments.ts',
    find: 'gt(moment, fromNow(mostMs + SLACK_MS))',
    replace: 'gt(moment, fromNow(1e12 + mostMs + SLACK_MS))',
    tests: ['test/catalog/databases.test.ts'],
  },
  {
    name: 'a health round without connections does not end',
    file: 'src/health/monitor.ts',
    find: 'if (isOver || entries.length',
    replace: 'if (entries.length',
    tests: ['test/catalog/health-monitor.test.ts'],
  },
  {
    name: 'nothing happens by the clock after it was set back',
    file: 'src/jobs/schedule.ts',
    find: 'setInterval(() => this.#checkTime(), CHECK_MS)',
    replace: 'setInterval(() => undefined, CHECK_MS)',
    tests: ['test/unit/jobs/schedule.test.ts'],
  },
  {
    name: 'a round is begun beside one that began before the clock was set',
    file: 'src/jobs/schedule.ts',
    find: 'if (before !== undefined) return before',
    replace: '',
    tests: ['test/unit/jobs/schedule.test.ts'],
  },
  {
    name: 'entries are removed one by one, each with its record',
    file: 'src/operations/remove-database.ts',
    find: 'await deps.registry.remove(tx, ids, actor)',
    replace: 'for (const id of ids) await deps.registry.remove(tx, [id], actor)',
    tests: ['test/catalog/databases.test.ts'],
  },
  {
    name: 'a change that is repeated is confirmed before it is in force',
    file: 'src/operations/create-operations.ts',
    find: '    ? effectiveOf(deps, tenantId, CONFIRMATION_TIMEOUT_MS)',
    replace: '    ? deps.follower.confirmations(0, CONFIRMATION_TIMEOUT_MS)',
    tests: ['test/http/tenant-routing.test.ts'],
  },
  {
    name: "the catalog's own trouble is taken for a fault of the database that is validated",
    file: 'src/catalog/store.ts',
    find: ' || OUTAGES.has(sqlState)',
    replace: '',
    tests: ['test/catalog/validation-without-catalog.test.ts'],
  },
  {
    name: 'a gateway that stops waits for the whole health round',
    file: 'src/health/monitor.ts',
    find: ' || signal?.aborted === true',
    replace: '',
    tests: ['test/unit/health/monitor.test.ts'],
  },
  {
    name: 'a dead replica lives on after the clock of the catalog was set back',
    file: 'src/catalog/changes/replicas.ts',
    find: 'if (others.some(({ isAhead }) => isAhead))',
    replace: 'if (others.some(({ isAhead }) => isAhead && false))',
    tests: ['test/catalog/replicas.test.ts'],
  },
  {
    name: 'a gateway that freezes keeps the locks of the catalog for a minute',
    file: 'src/gateway/parts/catalog-parts.ts',
    find: '  idleInTransactionMs: 4_000,\n',
    replace: '',
    tests: ['test/faults/frozen-gateway.test.ts'],
  },
  {
    name: 'gateways that start together each count the same failure',
    file: 'src/health/round-age.ts',
    find: '? FIRST_AGE_MS :',
    replace: '? 0 :',
    tests: ['test/catalog/health-monitor.test.ts'],
  },
  {
    name: 'a validation that meets another one is not repeated at once',
    file: 'src/databases/validation-job.ts',
    find: "if (isInProgress(error)) return { retryInMs: 0, error: publicError('MOVE_IN_PROGRESS') }",
    replace: '',
    tests: ['test/catalog/validation-without-connections.test.ts'],
  },
]

const IDENTITY: readonly SeededFault[] = [
  {
    name: "a tenant's key verifies tokens of another tenant",
    file: 'src/identity/tokens/form.ts',
    find: 'if (tenantId !== undefined && tenantId !== owner.tenantId) throw',
    replace: 'if (tenantId !== undefined && owner.tenantId === undefined) throw',
    tests: ['test/unit/identity/tokens.test.ts'],
  },
  {
    name: 'a key that was retired verifies for ever',
    file: 'src/identity/tokens/access-tokens.ts',
    find: "if (this.#now() >= retirementOf(key)) throw new TokenFault('retired key')",
    replace: '',
    tests: ['test/unit/identity/tokens.test.ts', 'test/http/token-matrix.test.ts'],
  },
  {
    name: 'tokens that were called back are taken',
    file: 'src/identity/tokens/access-tokens.ts',
    find: 'return this.#options.revocations?.isVoid(identity) === true',
    replace: 'return false',
    tests: ['test/unit/identity/tokens.test.ts', 'test/http/revocations.test.ts'],
  },
  {
    name: 'a refresh token used twice revokes nothing',
    file: 'src/identity/login/sessions.ts',
    find: '  await revokeFamily(session, known.familyId)\n  return known.userId',
    replace: '  return known.userId',
    tests: ['test/http/sessions.test.ts'],
  },
  {
    name: 'no hash is computed for an unknown user',
    file: 'src/identity/login/passwords.ts',
    find: 'const matches = await this.#inTurn(share, () => this.check(usable ?? this.#dummyHash, input))',
    replace:
      'const matches = usable !== null && (await this.#inTurn(share, () => this.check(usable, input)))',
    tests: ['test/unit/identity/passwords.test.ts'],
  },
  {
    name: 'X-Tenant-Code is not compared with the credential',
    file: 'src/http/gates.ts',
    find: 'if (contradicted || route.tenantId !== principal.tenantId)',
    replace: 'if (contradicted && route.tenantId === principal.tenantId)',
    tests: ['test/unit/http/pipeline.test.ts', 'test/guarantees/one-tenant-a-request.test.ts'],
  },
  {
    name: 'a caller may act for any descendant that it names',
    file: 'src/http/act-for.ts',
    find: "if (!principal.permissions.has(ACT)) throw fail('CROSS_TENANT_ACCESS')",
    replace: '',
    tests: ['test/http/acting.test.ts'],
  },
  {
    name: 'a security header that stands twice is not refused',
    file: 'src/http/transport/request-head.ts',
    find: 'if ((seen & bit) !== 0) throw',
    replace: 'if (seen > 99) throw',
    tests: ['test/unit/http/pipeline.test.ts', 'test/http/credentials.test.ts'],
  },
  {
    name: 'a database decides how many permissions are sorted',
    file: 'src/identity/access/permissions.ts',
    find: '.slice(0, MAX_GRANTED)',
    replace: '',
    tests: ['test/unit/identity/permissions.test.ts'],
  },
  {
    name: 'another port of the same caller is another caller',
    file: 'src/http/gates.ts',
    find: 'const address = bracketed ?? plain ?? given',
    replace: 'const address = given',
    tests: ['test/http/rate-limits.test.ts'],
  },
  {
    name: 'a refresh token is used up by an exchange that fails',
    file: 'src/identity/login/refresh.ts',
    find: 'return user && issuePair(parts.tokens, { tenant, user, refreshToken: rotation.token })\n  })\n',
    replace:
      'return user && { user, token: rotation.token }\n  }).then((made) => (made?.user ? issuePair(parts.tokens, { tenant, user: made.user, refreshToken: made.token }) : made))\n',
    tests: ['test/catalog/identity-login.test.ts'],
  },
  {
    name: 'a route needs no permission',
    file: 'src/http/gates.ts',
    find: 'if (permission !== null && !principal.permissions.has(permission)) {',
    replace: 'if (permission === undefined) {',
    tests: ['test/unit/http/pipeline.test.ts', 'test/http/credentials.test.ts'],
  },
]

const DATA: readonly SeededFault[] = [
  {
    name: "a cursor is good for another tenant's list",
    file: 'src/collections/cursor.ts',
    find: 'JSON.stringify([tenantId, resource, sort, filters])',
    replace: 'JSON.stringify([resource, sort, filters])',
    tests: ['test/unit/collections/cursor.test.ts'],
  },
  {
    name: 'an idempotency key answers another request',
    file: 'src/collections/idempotency.ts',
    find: "if (fingerprint !== (await ticket.fingerprint(null))) throw fail('IDEMPOTENCY_MISMATCH')",
    replace: '',
    tests: ['test/http/idempotency.test.ts'],
  },
  {
    name: 'a name that stands twice in a body is not refused',
    file: 'src/http/transport/json-body.ts',
    find: 'if (walk.names !== names)',
    replace: 'if (walk.names > names)',
    tests: ['test/unit/http/json-body.test.ts'],
  },
  {
    name: 'the metadata address may be listed',
    file: 'src/lib/postgres/egress.ts',
    find: "if (kind === 'forbidden') return false",
    replace: '',
    tests: ['test/unit/lib/egress.test.ts'],
  },
]

/** Every protection that deserves a line of its own. A test checks that each `find` is still in its file. */
export const SEEDED_FAULTS: readonly SeededFault[] = [
  ...APPLICATIONS,
  ...SECRETS,
  ...ISOLATION_FAULTS,
  ...CONNECTIONS,
  ...CHURN_FAULTS,
  ...PROTOCOL,
  ...LANE_WIRE,
  ...PROCESS,
  ...OUTCOMES,
  ...PLACES,
  ...ROTATION,
  ...CHANGES,
  ...COHERENCE,
  ...IDENTITY,
  ...DATA,
  ...BETWEEN_PARTS,
  ...JOBS,
  ...RUNS,
  ...OWN_JOBS_FAULTS,
  ...LANE_FAULTS,
  ...POOLERS,
  ...AUDIT_PERSONS,
  ...CHECKS,
  ...ROLLING_STOP,
  ...REVOKING,
  ...ISSUERS,
  ...DISASTERS,
  ...COMMAND,
  ...CONNECTION_STRINGS,
  ...DOCUMENTS,
  ...SCALE,
  ...SCHEMA,
  ...SEAL,
  ...SERVERS,
  ...TESTING,
]
