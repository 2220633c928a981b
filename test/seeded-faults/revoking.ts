import type { SeededFault } from './seeded-fault.ts'

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
    file: 'src/catalog/changes.ts',
    find: 'const awaited = seq ?? (await endOfLog(this.#options.store)).seq',
    replace: 'const awaited = seq ?? 0',
    tests: EVERYWHERE,
  },
  {
    name: "a rotation of the service's keys is confirmed before they have been read",
    file: 'src/parts.ts',
    find: 'return serviceKeys.request()',
    replace: 'void serviceKeys.request()',
    tests: EVERYWHERE,
  },
]
