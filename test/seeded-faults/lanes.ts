import type { SeededFault } from './seeded-fault.ts'

const LANES = 'test/pools/lanes.test.ts'
const ANSWERS = 'test/guarantees/lanes.test.ts'

/** What keeps units of many requests apart on one connection, and that connection from standing in the way of others. */
export const LANE_FAULTS: readonly SeededFault[] = [
  {
    name: 'lanes: a unit is sent although its tenant was suspended',
    file: 'src/sql/lanes/lane-group.ts',
    find: 'assertCurrent: () => current.assertCurrent()',
    replace: 'assertCurrent: () => undefined',
    tests: [LANES],
  },
  {
    name: 'lanes: SQL of an application rides a lane',
    file: 'src/sql/tenant-session.ts',
    find: 'wire === undefined || this.#ownSql) return null',
    replace: 'wire === undefined) return null',
    tests: [LANES],
  },
  {
    name: "lanes: one tenant's burst takes a whole lane",
    file: 'src/sql/lanes/lane.ts',
    find: 'const TENANT_DEPTH = 12',
    replace: 'const TENANT_DEPTH = 16',
    tests: [ANSWERS],
  },
  {
    name: 'lanes: a slow statement holds up those behind it',
    file: 'src/sql/lanes/open-lane.ts',
    find: "{ name: 'statement_timeout', value: '20ms' }",
    replace: "{ name: 'statement_timeout', value: '5s' }",
    tests: [LANES],
  },
  {
    name: 'lanes: a statement counts as slow because it waited for a lock',
    file: 'src/sql/lanes/open-lane.ts',
    find: "{ name: 'lock_timeout', value: '15ms' }",
    replace: "{ name: 'lock_timeout', value: '5s' }",
    tests: [LANES],
  },
  {
    name: 'lanes: every statement of a server that is far away counts as slow',
    file: 'src/sql/lanes/lane.ts',
    find: 'Math.min(tookMs - this.#roundTripMs,',
    replace: 'Math.min(tookMs,',
    tests: [LANES],
  },
  {
    name: 'lanes: a slow statement is tried on a lane for ever',
    file: 'src/sql/lanes/lane-group.ts',
    find: 'if (this.#slow.size > 0 && this.#slow.isSlow(tenantId, statement)) return null',
    replace: '',
    tests: [LANES],
  },
  {
    name: 'lanes: a lane takes the connection of the read that found none',
    file: 'src/sql/lanes/lane-group.ts',
    find: 'if (this.lanes.length === 0) this.#wantsFirst = true',
    replace: 'if (this.lanes.length === 0) this.#opener.openIfUseful(route)',
    tests: [LANES],
  },
  {
    name: 'lanes: a silent server is waited for',
    file: 'src/sql/lanes/lane.ts',
    find: 'const SILENT_TICKS = 20',
    replace: 'const SILENT_TICKS = 20_000',
    tests: [LANES],
  },
  {
    name: 'lanes: a server that breaks the protocol gets a new lane each second',
    file: 'src/sql/lanes/lane-opener.ts',
    find: 'if (isViolation(error)) this.#pause.beginAfterViolation()',
    replace: '',
    tests: [LANES],
  },
  {
    name: 'lanes: a unit waits for ever after a fault of ours',
    file: 'src/sql/lanes/lane-group.ts',
    find: '        } finally {\n          resolve(',
    replace: '        } catch (error) {\n          throw error\n          resolve(',
    tests: [LANES],
  },
  {
    name: 'lanes: a busy lane keeps the permit that another pool waits for',
    file: 'src/pools/tenant-pool.ts',
    find: 'this.kept.closeThose((client) => this.#mustGo(client, true))',
    replace: 'this.kept.closeThose((client) => false && this.#mustGo(client, true))',
    tests: [LANES],
  },
  {
    name: 'lanes: a pool does not get a connection back that its requests need',
    file: 'src/pools/tenant-pool.ts',
    find: 'if (this.#waiting.all.length > this.#pending.requested && this.kept.size > 0)',
    replace: 'if (this.#waiting.all.length < 0)',
    tests: [LANES],
  },
  {
    name: "lanes: a connection that was a lane keeps the lane's time limits",
    file: 'src/sql/lanes/lane-opener.ts',
    find: '    markDirty(client)',
    replace: '',
    tests: [LANES],
  },
  {
    name: 'lanes: a pool that closes does not close its lanes',
    file: 'src/pools/tenant-pool.ts',
    find: 'this.kept.closeThose(() => true)',
    replace: '',
    tests: [LANES],
  },
  {
    name: 'lanes: a statement whose answers are too large is tried on a lane again',
    file: 'src/sql/lanes/lane-group.ts',
    find: "if (why === 'large') this.#slow.avoid(tenantId, statement)",
    replace: '',
    tests: [LANES],
  },
  {
    name: 'lanes: a statement whose columns are not the declared ones is tried on lanes again',
    file: 'src/sql/lanes/lane-group.ts',
    find: "if (why === 'unfit') this.#unfit.add(statement)",
    replace: '',
    tests: [LANES],
  },
]
