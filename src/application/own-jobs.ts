import { isCron } from '../lib/cron.ts'
import type { EachOptions, EachOutcome, Tenant } from './contract.ts'

/** Where a job of an application writes lines; each names the job, and the tenant it works in. */
export interface JobLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export interface JobContext {
  /** Fires when the job is cancelled or this process ends: what can stop soon should. Another replica goes on then. */
  readonly signal: AbortSignal
  readonly log: JobLog
}

/** As `Tenants`; the job is the actor. */
export interface JobTenants {
  run<T>(codeOrId: string, fn: (tenant: Tenant) => Promise<T>): Promise<T>
  each(fn: (tenant: Tenant) => Promise<unknown>, options?: Omit<EachOptions, 'actor'>): Promise<EachOutcome>
}

/** Work that is done by the clock. Each round is done once, whatever the number of replicas; a crash may have it done again. */
export interface ApplicationJob {
  /** In lower case, with hyphens. */
  readonly name: string
  /** In UTC: five fields, or six with the seconds first. */
  readonly cron: string
  /** For every active tenant, some at once. One whose database is away is skipped, and made up for when it is back. */
  readonly perTenant?: (tenant: Tenant, context: JobContext) => Promise<unknown>
  /** In the place of `perTenant`: once. */
  readonly run?: (context: JobContext & { readonly tenants: JobTenants }) => Promise<unknown>
}

const NAME = /^[a-z][a-z0-9-]{0,62}$/

/** What is wrong with the jobs of an application, each with the mend. */
export function faultsOfJobs(jobs: readonly ApplicationJob[]): string[] {
  if (!Array.isArray(jobs)) return ['jobs must be a list: [{ name, cron, perTenant }].']
  const names = jobs.map((job) => job?.name)
  return jobs.flatMap((job, index) => {
    const { name, cron, perTenant, run } = job ?? {}
    const given = [perTenant, run].filter((each) => each !== undefined)
    return [
      ...(typeof name === 'string' && NAME.test(name)
        ? []
        : [`The job's name "${name}" must be lower case, with digits and hyphens.`]),
      ...(names.indexOf(name) === index ? [] : [`Two jobs are called "${name}". Rename one of them.`]),
      ...(isCron(cron)
        ? []
        : [
            `The cron of the job "${name}" must have five fields, or six with the seconds first: "0 3 * * *".`,
          ]),
      ...(given.length === 1 && typeof given[0] === 'function'
        ? []
        : [`The job "${name}" needs one function: perTenant for each tenant, or run for all.`]),
    ]
  })
}
