import type { SeededFault } from './seeded-fault.ts'

export const ROLLING_STOP: readonly SeededFault[] = [
  {
    name: 'a gateway that is told to end refuses requests at once',
    file: 'src/gateway/shutdown.ts',
    find: 'const left = isServing ? delay(',
    replace: 'const left = !isServing ? delay(',
    tests: ['test/faults/rolling-stop.test.ts'],
  },
  {
    name: 'a gateway that is told to end still says that it is ready',
    file: 'src/http/routes/open.ts',
    find: "isLeaving(deps.lifecycle) ? 'draining'",
    replace: "deps.lifecycle.phase === 'draining' ? 'draining'",
    tests: ['test/faults/rolling-stop.test.ts'],
  },
]
