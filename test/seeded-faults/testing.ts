import type { SeededFault } from './seeded-fault.ts'

const PROOF = ['test/application/isolation-proof.test.ts']

/** Protections without which an application's own tests would miss a fault, or leave something behind. */
export const TESTING: readonly SeededFault[] = [
  {
    name: 'a proof of isolation does not look into answers',
    file: 'src/testing/isolation/prove-isolation.ts',
    find: 'other === resident ? null : shownOf(traces, answer, known)',
    replace: 'other !== resident ? null : shownOf(traces, answer, known)',
    tests: PROOF,
  },
  {
    name: 'a proof of isolation does not look into the databases',
    file: 'src/testing/isolation/prove-isolation.ts',
    find: 'if (after === before) continue',
    replace: 'continue',
    tests: PROOF,
  },
  {
    name: 'a proof of isolation passes over routes that refuse everything',
    file: 'src/testing/isolation/prove-isolation.ts',
    find: 'return reason === undefined ? [] : [{ route: key, reason }]',
    replace: 'return []',
    tests: PROOF,
  },
  {
    name: 'a proof of isolation does not know which headers a handler reads',
    file: 'src/testing/reading-watch.ts',
    find: 'if (this.isOn) this.#watch(request)',
    replace: '',
    tests: PROOF,
  },
  {
    name: 'the role that serves a test gateway owns its tables',
    file: 'src/testing/databases.ts',
    find: "sharedUrl: maker.urlFor('serving', shared)",
    replace: "sharedUrl: maker.urlFor('owner', shared)",
    tests: ['test/application/test-gateway.test.ts'],
  },
  {
    name: 'an answer that is sent under an Idempotency-Key is waited for for ever',
    file: 'src/http/own/answer-once.ts',
    find: '    then: { value: undefined },\n',
    replace: '',
    tests: PROOF,
  },
]
