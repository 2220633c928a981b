import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Secret } from '../../../src/lib/secret.ts'
import { TenantCheck, TenantUnit } from '../../../src/pools/wire/tenant-unit.ts'

interface Parsed {
  readonly name: string
  readonly text: string
}

/** The statements that a unit prepares on a new connection. */
function prepare(text: string): Parsed[] {
  const parsed: Parsed[] = []
  const nothing = () => undefined
  const wire = {
    ...{ stream: { cork: nothing, uncork: nothing }, bind: nothing, describe: nothing, execute: nothing },
    ...{ close: nothing, sync: nothing },
    parse: ({ name, text }: Parsed) => parsed.push({ name, text }),
  }
  const tenantCheck = new TenantCheck({ tenantId: 'a', epoch: 1, seal: new Secret('b') })
  const statement = { text, values: [], rowMode: 'object' } as const
  const unit = new TenantUnit(statement, { tenantCheck, begin: true, writes: false })
  unit.submit(wire as never)
  return parsed
}

test('the name of a statement is a hash of its text, the same in every process', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, maxLength: 400 }), (text) => {
      const all = prepare(text)
      expect(all).toHaveLength(3)
      expect(all.at(-1)?.text).toBe(text)
      for (const { name, text } of all) {
        expect(name).toBe(`fh_${createHash('sha256').update(text).digest('base64url')}`)
        // PostgreSQL truncates longer names.
        expect(Buffer.byteLength(name)).toBeLessThan(63)
      }
    }),
  )
})
