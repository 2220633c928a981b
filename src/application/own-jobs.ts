import { isCron } from '../lib/cron.ts'
import type { EachOptions, EachOutcome, Tenant } from './contract.ts'

/** The log of an application's job. Each line names the job and its current tenant. */
export interface JobLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export interface JobContext {
  /** Aborted when the job is cancelled or this process stops. The job should stop soon; another replica may continue it. */
  readonly signal: AbortSignal
  readonly log: JobLog
}

/** Like `Tenants`. The actor is the job. */
export interface JobTenants {
  run<T>(codeOrId: string, fn: (tenant: Tenant) => Promise<T>): Promise<T>
  each(fn: (tenant: Tenant) => Promise<unknown>, options?: Omit<EachOptions, 'actor'>): Promise<EachOutcome>
}

/** Scheduled work. Each round runs once, however many replicas there are; after a crash it may run again. */
export interface ApplicationJob {
  /** In lower case, with hyphens. */
  readonly name: string
  /** In UTC: five fields, or six with the seconds first. */
  readonly cron: string
  /** Runs for every active tenant, several at once. Skips a tenant whose database is down and catches up once it is back. */
  readonly perTenant?: (tenant: Tenant, context: JobContext) => Promise<unknown>
  /** Runs once for each round. Set it instead of `perTenant`. */
  readonly run?: (context: JobContext & { readonly tenants: JobTenants }) => Promise<unknown>
}

const NAME = /^[a-z][a-z0-9-]{0,62}$/

/** Finds the faults in an application's jobs. Each text says what to do. */
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
