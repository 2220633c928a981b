import type { SeededFault } from './seeded-fault.ts'

const OWN_JOBS = ['test/application/jobs.test.ts']

/** Protections for the jobs of an application. */
export const OWN_JOBS_FAULTS: readonly SeededFault[] = [
  {
    name: 'each replica runs rounds of its own',
    file: 'src/tenancy/application-jobs.ts',
    find: 'const round = { id, kind, subject: job.name, payload',
    replace: 'const round = { kind, subject: `${job.name}${id.length}${Math.random()}`, payload',
    tests: OWN_JOBS,
  },
  {
    name: 'a tenant whose database is not available gets no job of its own',
    file: 'src/tenancy/application-jobs.ts',
    find: '      await this.#queueForTenant(job, tenantId)\n    }',
    replace: '    }',
    tests: OWN_JOBS,
  },
  {
    name: 'one tenant in which a job fails keeps it from the others',
    file: 'src/tenancy/application-jobs.ts',
    find: "      log.error({ job: job.name, tenantId, err }, 'job of the application failed in a tenant')\n",
    replace: '      throw err\n',
    tests: OWN_JOBS,
  },
]
