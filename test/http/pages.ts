import { expect } from 'vitest'
import type { TestGateway } from '../support/gateway.ts'
import { API } from './support.ts'

const MOST_PAGES = 100

interface Walk {
  readonly token: string
  /** Without `cursor`; with `limit`. */
  readonly query: string
}

/** Follows the cursors of a list to its end. Only the last page may have fewer rows than `limit`. */
// biome-ignore lint/suspicious/noExplicitAny: tests look into whatever comes back
export async function readPages(gateway: TestGateway, path: string, { token, query }: Walk): Promise<any[]> {
  const limit = Number(/limit=(\d+)/.exec(query)?.[1])
  const rows: unknown[] = []
  for (let cursor = '', page = 0; page < MOST_PAGES; page++) {
    const answer = await gateway.call('GET', `${API}${path}?${query}${cursor}`, { token })
    expect(answer.status, answer.text).toBe(200)
    const { data, nextCursor } = answer.body
    expect(Object.keys(answer.body).toSorted()).toEqual(['data', 'nextCursor'])
    rows.push(...data)
    if (nextCursor === null) return rows
    expect(data).toHaveLength(limit)
    cursor = `&cursor=${nextCursor}`
  }
  throw new Error(`the list of ${path} does not end`)
}
