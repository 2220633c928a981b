import type { SessionStatement, TenantDb, TenantSession } from '../../../src/sql/session.ts'

export interface Sent {
  readonly text: string
  readonly values: readonly unknown[]
}

/** A session that records the statements, and answers each with the next rows (or error) of its script. */
export function recorder(tenantId: string, ...script: (readonly unknown[] | Error)[]) {
  const sent: Sent[] = []
  const run = async ({ text, values }: SessionStatement) => {
    sent.push({ text, values })
    const next = script.shift() ?? []
    if (next instanceof Error) throw next
    return { rows: next } as never
  }
  const session: TenantSession = {
    tenantId,
    run,
    db: {} as TenantDb,
    transaction: () => Promise.reject(new Error('not used')),
  }
  return { session, sent }
}

/** What pg throws for an error of the server. */
export function serverError(code: string, constraint?: string): Error {
  return Object.assign(new Error('Key (place_id)=(secret) is not present'), {
    code,
    constraint,
    detail: 'secret',
  })
}
