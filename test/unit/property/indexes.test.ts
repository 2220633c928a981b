import type { PgColumn } from 'drizzle-orm/pg-core'
import { getTableConfig } from 'drizzle-orm/pg-core'
import { describe, expect, it } from 'vitest'
import { RESOURCES } from '../../../src/applications/property/resources.ts'
import type { Resource } from '../../../src/collections/define-resource.ts'

/**
 * The columns of each index, in order. Expressions do not count: before its own condition, row-level security allows only
 * leakproof functions, and functions such as `lower()` are not leakproof.
 */
function indexesOf({ table }: Resource): string[][] {
  const { indexes, primaryKeys } = getTableConfig(table)
  // A list would miss the rows that a partial index omits.
  const whole = indexes.filter(({ config }) => config.where === undefined)
  return [...whole.map(({ config }) => config.columns), ...primaryKeys.map(({ columns }) => columns)].map(
    (columns) => columns.map((column) => ('name' in column ? (column.name ?? '') : '(an expression)')),
  )
}

const columnOf = ({ table }: Resource, field: string) =>
  (table as unknown as Record<string, PgColumn>)[field]?.name

describe.each(RESOURCES.map((resource) => [resource.name, resource] as const))(
  'a list of %s',
  (_, resource) => {
    const indexes = indexesOf(resource)
    const query: Record<string, { enum?: string[] }> = resource.schemas.listQuery.properties

    it('has an index of the tenant for each filter', () => {
      const filters = Object.keys(query).filter((name) => !['limit', 'cursor', 'sort'].includes(name))
      const scanned = filters.filter((name) => {
        const column = columnOf(resource, name)
        return !indexes.some(
          ([first, second]) => first === 'tenant_id' && [column, `${column}_folded`].includes(second),
        )
      })
      expect(scanned).toEqual([])
    })

    it('has an index for each order, so that a page reads no more than its rows', () => {
      const sorts = (query.sort?.enum ?? []).filter((order) => !order.startsWith('-'))
      expect(sorts).toContain('createdAt')
      const sorted = sorts.filter((order) => {
        const column = columnOf(resource, order)
        return !indexes.some(([first, second]) => first === 'tenant_id' && second === column)
      })
      expect(sorted).toEqual([])
    })
  },
)
