import { usageError } from '../exit-codes.ts'
import type { ApiClient, ApiRequest } from './client.ts'
import { MOST_PER_PAGE, numberOf } from './request.ts'

const USUAL = 50

export interface Page {
  readonly data: readonly unknown[]
  readonly nextCursor: string | null
}

export interface PageFlags {
  readonly limit?: string
  readonly all?: boolean
  readonly cursor?: string
}

/** As many rows as were asked for, from as many pages as that takes. @throws CommandError */
export async function collectPages(client: ApiClient, request: ApiRequest, flags: PageFlags): Promise<Page> {
  const wanted = wantedOf(flags)
  const data: unknown[] = []
  let cursor: string | null = flags.cursor ?? null
  do {
    const limit = String(Math.min(MOST_PER_PAGE, wanted - data.length))
    const query = { ...request.query, limit, ...(cursor !== null && { cursor }) }
    const { body } = await client.call({ ...request, query })
    const page = body as Page
    data.push(...page.data)
    cursor = page.nextCursor
  } while (cursor !== null && data.length < wanted)
  return { data, nextCursor: cursor }
}

function wantedOf({ limit, all }: PageFlags): number {
  if (all === true) return Number.POSITIVE_INFINITY
  const wanted = limit === undefined ? USUAL : numberOf('limit', limit)
  if (wanted >= 1) return wanted
  throw usageError('--limit must be 1 or more')
}
