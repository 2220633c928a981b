import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { CursorScope } from '../../../src/collections/cursor.ts'
import { makeCursors } from '../../support/cursors.ts'

const codec = makeCursors()
const scope: CursorScope = {
  tenantId: 't1',
  resource: 'places',
  sort: '-createdAt',
  filters: [['kind', 'land']],
}
const position = { value: '2026-01-01T00:00:00.123456Z', id: '0190aaaa-0000-7000-8000-000000000001' }
const refused = expect.objectContaining({ code: 'INVALID_CURSOR' })

describe('a cursor', () => {
  it('opens in its own list, with any sort value', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string({ unit: 'grapheme', maxLength: 200 }), fc.integer()),
        fc.uuid(),
        (value, id) => {
          const cursor = codec.encode(scope, { value, id })
          expect(cursor).toMatch(/^[\w-]+$/)
          expect(codec.decode(scope, cursor)).toEqual({ value, id })
        },
      ),
    )
  })

  it.each<[string, CursorScope]>([
    ['tenant', { ...scope, tenantId: 't2' }],
    ['collection', { ...scope, resource: 'estates' }],
    ['order', { ...scope, sort: 'createdAt' }],
    ['filter value', { ...scope, filters: [['kind', 'parking']] }],
    ['filter', { ...scope, filters: [['name', 'land']] }],
    ['list without filters', { ...scope, filters: [] }],
  ])('does not open for another %s', (_, other) => {
    expect(() => codec.decode(other, codec.encode(scope, position))).toThrow(refused)
  })

  it('does not open after any bit was changed', () => {
    const bytes = Buffer.from(codec.encode(scope, position), 'base64url')
    fc.assert(
      fc.property(fc.nat(bytes.length * 8 - 1), (bit) => {
        const tampered = Buffer.from(bytes)
        tampered.writeUInt8((tampered[bit >> 3] ?? 0) ^ (1 << (bit & 7)), bit >> 3)
        expect(() => codec.decode(scope, tampered.toString('base64url'))).toThrow(refused)
      }),
    )
  })

  it('does not open if it is invented, truncated or encoded otherwise', () => {
    const cursor = codec.encode(scope, position)
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(() => codec.decode(scope, text)).toThrow(refused)
      }),
    )
    for (const other of [cursor.slice(0, -1), `${cursor}=`, `${cursor}\n`, ` ${cursor}`, 'A'.repeat(5000)]) {
      expect(() => codec.decode(scope, other)).toThrow(refused)
    }
  })

  it('does not open with another key', () => {
    const stranger = makeCursors()
    expect(() => stranger.decode(scope, codec.encode(scope, position))).toThrow(refused)
  })
})
