import { expect, test } from 'vitest'
import { type ApplicationDefinition, ApplicationError, defineApplication } from '../../src/application.ts'
import { momentId } from '../../src/lib/ids.ts'

const perTenant = async () => undefined

/** The faults for which a definition with these jobs is refused. */
function faultsOf(jobs: unknown): readonly string[] {
  const definition = { name: 'clinic', tables: {}, migrations: '/nowhere', jobs } as ApplicationDefinition
  try {
    defineApplication(definition)
    return []
  } catch (error) {
    return error instanceof ApplicationError ? error.problems : [String(error)]
  }
}

test('complete job definitions are accepted', () => {
  const jobs = [
    { name: 'remind', cron: '0 7 * * *', perTenant },
    { name: 'report', cron: '0 0 3 1 * *', run: perTenant },
  ]
  expect(faultsOf(jobs)).toEqual([])
})

test.each([
  ['no list', { remind: perTenant }, /must be a list/],
  ['one that is none', [null], /must be lower case/],
  [
    'a name with blanks',
    [{ name: 'Send all', cron: '0 7 * * *', perTenant }],
    /"Send all" must be lower case/,
  ],
  ['a cron that is none', [{ name: 'remind', cron: 'daily', perTenant }], /cron of the job "remind"/],
  ['a cron out of bounds', [{ name: 'remind', cron: '0 25 * * *', perTenant }], /cron of the job "remind"/],
  ['no function', [{ name: 'remind', cron: '0 7 * * *' }], /"remind" needs one function/],
  ['both', [{ name: 'remind', cron: '0 7 * * *', perTenant, run: perTenant }], /"remind" needs one function/],
  ['what is no function', [{ name: 'remind', cron: '0 7 * * *', run: 'x' }], /"remind" needs one function/],
  [
    'one name twice',
    [
      { name: 'remind', cron: '0 7 * * *', perTenant },
      { name: 'remind', cron: '0 8 * * *', perTenant },
    ],
    /Two jobs are called "remind"/,
  ],
])('%s is refused, and the error names the job and what to change', (_what, jobs, message) => {
  expect(faultsOf(jobs)).toEqual(expect.arrayContaining([expect.stringMatching(message)]))
})

test('a round has the same id on every replica, and another id for each time and each job', () => {
  const at = new Date('2026-01-31T07:00:00Z')
  const id = momentId(at, 'clinic/remind')
  expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  expect(momentId(new Date(at), 'clinic/remind')).toBe(id)
  const others = [momentId(at, 'clinic/report'), momentId(new Date(at.getTime() + 1_000), 'clinic/remind')]
  expect(new Set([id, ...others]).size).toBe(3)
  expect((others[1] ?? '') > id).toBe(true)
})
