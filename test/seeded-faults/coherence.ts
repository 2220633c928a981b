import type { SeededFault } from './seeded-fault.ts'

const FAILOVER = 'test/faults/catalog-failover.test.ts'
const LIMITS = 'test/faults/different-limits.test.ts'
const CLOCK = 'test/faults/wrong-clock.test.ts'
const FROZEN = 'test/faults/frozen-gateway.test.ts'

/** Protections that keep replicas in agreement with each other and with the catalog. */
export const COHERENCE: readonly SeededFault[] = [
  {
    name: 'catalog history: a follower knows its last change by the number alone',
    file: 'src/catalog/history.ts',
    find: 'if (position.id !== null && rows.shift()?.id !== position.id) return null',
    replace: 'if (position.id !== null && rows.shift() === undefined) return null',
    tests: ['test/catalog/changes.test.ts', FAILOVER],
  },
  {
    name: 'catalog history: a change is confirmed by the number alone',
    file: 'src/catalog/changes/live-replicas.ts',
    find: '} = 0 or exists (',
    replace: '} >= 0 or exists (',
    tests: ['test/catalog/replicas.test.ts', FAILOVER],
  },
  {
    name: 'catalog history: after missed changes nothing that was begun is waited for',
    file: 'src/catalog/changes/follower.ts',
    find: 'for (const tell of this.#onGap) this.#holdBack(tell())',
    replace: 'for (const tell of this.#onGap) tell()',
    tests: ['test/catalog/changes.test.ts'],
  },
  {
    name: 'catalog history: data keys of before are sealed with for ever',
    file: 'src/catalog/vault.ts',
    find: 'if (generation === this.#generation) this.#opened.set(tenantId, key)',
    replace: 'this.#opened.set(tenantId, key)',
    tests: ['test/catalog/vault.test.ts'],
  },
  {
    name: 'pause: requests are judged by what was known before it',
    file: 'src/http/gates.ts',
    find: 'if (freshness.isOver) return freshness.renew().then(() => catchUp(state))',
    replace: '',
    tests: [FROZEN, 'test/unit/http/pipeline.test.ts'],
  },
  {
    name: 'pause: who was let in before it is not judged again',
    file: 'src/http/pipeline.ts',
    find: 'if ((request as unknown as Marked)[kState]?.lapses !== freshness.lapses) return pass(request)',
    replace: '',
    tests: ['test/unit/http/pipeline.test.ts'],
  },
  {
    name: 'pause: statements go by the route that was known before it',
    file: 'src/sql/current-route.ts',
    find: 'if (isHeld && !freshness.isOver) return',
    replace: 'if (isHeld) return',
    tests: ['test/pools/tenant-session.test.ts'],
  },
  {
    name: 'pause: sessions of before go on after changes were missed',
    file: 'src/sql/tenant-session.ts',
    find: "if (this.#options.routes.freshness.lapses !== this.#lapses) throw fail('CATALOG_UNAVAILABLE')",
    replace: '',
    tests: ['test/pools/tenant-session.test.ts', FROZEN],
  },
  {
    name: 'pause: a transaction of before commits after it',
    file: 'src/sql/tenant-transaction.ts',
    find: 'await this.#current.assertNoChangeMissed()',
    replace: '',
    tests: ['test/pools/tenant-session.test.ts'],
  },
  {
    name: 'pause: time that only the wall clock has seen does not count',
    file: 'src/catalog/changes/freshness.ts',
    find: ' || this.#clock.now() - wall > trustedMs',
    replace: '',
    tests: ['test/unit/catalog/freshness.test.ts'],
  },
  {
    name: 'pause: an attempt of before it is believed',
    file: 'src/catalog/changes/freshness.ts',
    find: 'this.#note(begun, { until: begun, position })',
    replace: 'this.#note(begun, { until: this.now(), position })',
    tests: ['test/unit/catalog/freshness.test.ts'],
  },
  {
    name: 'pause: the first failure after it is taken for an outage',
    file: 'src/catalog/changes/freshness.ts',
    find: '&& this.#failures < ATTEMPTS_AFTER_LAPSE',
    replace: '&& this.#failures < 1',
    tests: ['test/unit/catalog/freshness.test.ts'],
  },
  {
    name: 'limits: a replica goes by what it was told alone',
    file: 'src/catalog/changes/connection-shares.ts',
    find: 'Math.min(own.max, ...others.map(({ limit }) => limit ?? own.max))',
    replace: 'own.max',
    tests: ['test/catalog/replicas.test.ts', LIMITS],
  },
  {
    name: 'limits: what is free is reckoned by what was told alone',
    file: 'src/catalog/changes/replicas.ts',
    find: 'const total = smallestTotal(share.total, others)\n    const free',
    replace: 'const { total } = share\n    const free',
    tests: ['test/catalog/replicas.test.ts'],
  },
  {
    name: 'limits: who has no connections says nothing',
    file: 'src/catalog/changes/replicas.ts',
    find: 'this.#options.share.onWait?.(reason)',
    replace: '',
    tests: ['test/catalog/replicas.test.ts', LIMITS],
  },
  {
    name: 'limits: a replica without connections is ready',
    file: 'src/gateway/http-deps.ts',
    find: "replicas.waitsFor === null ? 'ready'",
    replace: "replicas.waitsFor !== undefined ? 'ready'",
    tests: [LIMITS],
  },
  {
    name: 'clocks: a wrong clock is not told',
    file: 'src/catalog/changes/clock-skew.ts',
    find: 'skewMs - errorMs > TOO_MUCH_MS',
    replace: 'skewMs - errorMs > 1000 * TOO_MUCH_MS',
    tests: ['test/unit/catalog/clock-skew.test.ts', CLOCK],
  },
  {
    name: 'clocks: the skew is not measured',
    file: 'src/catalog/changes/replicas.ts',
    find: 'if (asked !== undefined && first !== undefined) skew?.answered(asked, first.at)',
    replace: '',
    tests: [CLOCK],
  },
  {
    name: 'clocks: events are dated when they are written',
    file: 'src/catalog/audit/trail.ts',
    find: 'at: fromNow(notedAt - now)',
    replace: 'at: fromNow(0)',
    tests: ['test/catalog/audit-trail.test.ts'],
  },
]
