import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type Binding,
  decryptGcm,
  encryptGcm,
  open,
  SealBrokenError,
  type SealingKey,
  seal,
  sealedKeyId,
  UnknownKeyError,
} from '../../../src/crypto/envelope.ts'

const key: SealingKey = { id: '0123456789abcdef', bytes: randomBytes(32) }
const HEADER_AND_NONCE = 1 + 8 + 12
const binding: Binding = {
  table: 'tenant_databases',
  column: 'password_sealed',
  tenantId: '0198c1d2-0000-7000-8000-000000000001',
  rowId: '0198c1d2-0000-7000-8000-000000000002',
  rowVersion: 1,
}

/** Texts of few letters, with bytes that look like kinds and lengths. */
const confusable = (minLength: number, maxLength: number) =>
  fc.string({ unit: fc.constantFrom('a', 'b', 'c', '\0', '\x01'), minLength, maxLength })
const fieldText = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 12 }), confusable(0, 6))
const anyBinding: fc.Arbitrary<Binding> = fc.record({
  table: fieldText,
  column: fieldText,
  tenantId: fc.option(fieldText),
  rowId: fieldText,
  rowVersion: fc.maxSafeNat(),
})
const anyText = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes))

function flipBit(bytes: Buffer, bit: number): Buffer {
  const flipped = Buffer.from(bytes)
  flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
  return flipped
}

const hex = (text: string) => Buffer.from(text, 'hex')

describe('a sealed value', () => {
  it('opens again under its own binding', () => {
    fc.assert(
      fc.property(anyText, anyBinding, (text, place) => {
        expect(open(key, seal(key, text, place), { ...place })).toEqual(text)
      }),
    )
  })

  it('consists of version, key id, nonce, body and tag', () => {
    const text = Buffer.from('postgresql')
    const sealed = seal(key, text, binding)
    expect(sealed.length).toBe(HEADER_AND_NONCE + text.length + 16)
    expect(sealed[0]).toBe(1)
    expect(sealed.toString('hex', 1, 9)).toBe(key.id)
    expect(sealedKeyId(sealed)).toBe(key.id)
    expect(sealed.includes(text)).toBe(false)
  })

  it('still opens if an earlier release sealed it', () => {
    // Made by this module. Fixes the format and the encoding of the binding, on which stored values depend.
    const old = { id: '0123456789abcdef', bytes: hex('00112233445566778899aabbccddeeff'.repeat(2)) }
    const sealed = hex(
      '010123456789abcdef4bb0b4977419970dfa305ddf01601da41b25e61111ecd383412d660040c09121966512c7e4f2e8bb52',
    )
    expect(open(old, sealed, binding).toString()).toBe('an old secret')
    expect(
      open(
        old,
        hex(
          '010123456789abcdefcfef99224ccf6a939b6cbc4e370edf4f1ce6642a8231230ed6c61fc57582de1a788e55d57c3ffed6d6',
        ),
        { ...binding, tenantId: null },
      ).toString(),
    ).toBe('an old secret')
  })

  it('differs each time in nonce, body and tag', () => {
    const sealed = Array.from({ length: 200 }, () => seal(key, Buffer.from('the same text'), binding))
    const distinct = (from: number, to?: number) =>
      new Set(sealed.map((value) => value.subarray(from, to).toString('hex'))).size
    expect(distinct(9, 21)).toBe(200)
    expect(distinct(21, -16)).toBe(200)
    expect(distinct(-16)).toBe(200)
  })

  it('does not open after any bit was flipped', () => {
    const sealed = seal(key, Buffer.from('a password'), binding)
    for (let bit = 0; bit < sealed.length * 8; bit += 1) {
      const inKeyId = bit >= 8 && bit < 72
      const expected = inKeyId ? UnknownKeyError : SealBrokenError
      expect(() => open(key, flipBit(sealed, bit), binding)).toThrow(expected)
    }
  })

  it('does not open after any change of its bytes', () => {
    fc.assert(
      fc.property(
        anyText,
        anyBinding,
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (text, place, at, change) => {
          const sealed = seal(key, text, place)
          const index = at % sealed.length
          sealed.writeUInt8(sealed.readUInt8(index) ^ change, index)
          expect(() => open(key, sealed, place)).toThrow(/does not open|no key/)
        },
      ),
    )
  })

  it('does not open if its header names another key, even under that key’s id', () => {
    const renamed: SealingKey = { id: 'fedcba9876543210', bytes: key.bytes }
    const sealed = seal(key, Buffer.from('a password'), binding)
    sealed.write(renamed.id, 1, 'hex')
    expect(() => open(renamed, sealed, binding)).toThrow(SealBrokenError)
  })

  it('does not open under another key with the same id', () => {
    const sealed = seal(key, Buffer.from('a password'), binding)
    expect(() => open({ id: key.id, bytes: randomBytes(32) }, sealed, binding)).toThrow(SealBrokenError)
  })

  it('does not open if it is truncated or lengthened', () => {
    const sealed = seal(key, Buffer.from('a password'), binding)
    for (let length = 0; length < sealed.length; length += 1) {
      expect(() => open(key, sealed.subarray(0, length), binding)).toThrow(SealBrokenError)
      expect(() => open(key, sealed.subarray(sealed.length - length), binding)).toThrow()
    }
    expect(() => open(key, Buffer.concat([sealed, Buffer.of(0)]), binding)).toThrow(SealBrokenError)
  })

  it.each([4, 8, 12, 13, 14, 15])('does not open if its tag is cut to %i bytes', (tagBytes) => {
    for (const text of ['', 'a password']) {
      const sealed = seal(key, Buffer.from(text), binding)
      expect(() => open(key, sealed.subarray(0, sealed.length - 16 + tagBytes), binding)).toThrow(
        SealBrokenError,
      )
    }
  })

  it('does not open if it has another version', () => {
    const sealed = seal(key, Buffer.from('a password'), binding)
    for (const version of [0, 2, 255]) {
      sealed.writeUInt8(version, 0)
      expect(() => sealedKeyId(sealed)).toThrow(SealBrokenError)
      expect(() => open(key, sealed, binding)).toThrow(SealBrokenError)
    }
  })

  it('opens from a view into a larger buffer, as database drivers return it', () => {
    const sealed = seal(key, Buffer.from('a password'), binding)
    const larger = new Uint8Array(sealed.length + 20)
    larger.set(sealed, 7)
    expect(open(key, larger.subarray(7, 7 + sealed.length), binding).toString()).toBe('a password')
  })
})

describe('a binding', () => {
  it.each<[string, Partial<Binding>]>([
    ['table', { table: 'signing_keys' }],
    ['column', { column: 'ca_certificate' }],
    ['tenant', { tenantId: '0198c1d2-0000-7000-8000-000000000003' }],
    ['tenant (none)', { tenantId: null }],
    ['tenant (empty)', { tenantId: '' }],
    ['row', { rowId: '0198c1d2-0000-7000-8000-000000000004' }],
    ['row version (later)', { rowVersion: 2 }],
    ['row version (earlier)', { rowVersion: 0 }],
  ])('of another %s does not open the value', (_name, change) => {
    const sealed = seal(key, Buffer.from('a password'), binding)
    expect(() => open(key, sealed, { ...binding, ...change })).toThrow(SealBrokenError)
  })

  it('without a tenant is not the binding of a tenant with an empty id', () => {
    const sealed = seal(key, Buffer.from('x'), { ...binding, tenantId: null })
    expect(() => open(key, sealed, { ...binding, tenantId: '' })).toThrow(SealBrokenError)
  })

  it('that differs in any field does not open the value', () => {
    fc.assert(
      fc.property(anyBinding, anyBinding, fc.nat(31), (one, two, mask) => {
        // Takes some fields of one binding and the rest of the other, so that nearly equal ones are common.
        const names = ['table', 'column', 'tenantId', 'rowId', 'rowVersion'] as const
        const mixed = Object.fromEntries(
          names.map((name, index) => [name, mask & (1 << index) ? two[name] : one[name]]),
        ) as unknown as Binding
        fc.pre(names.some((name) => mixed[name] !== one[name]))
        const sealed = seal(key, Buffer.from('x'), one)
        expect(() => open(key, sealed, mixed)).toThrow(SealBrokenError)
      }),
      { numRuns: 500 },
    )
  })

  it('is not confused with one whose fields are divided elsewhere', () => {
    fc.assert(
      fc.property(
        confusable(1, 12),
        fc.tuple(fc.nat(12), fc.nat(12), fc.nat(12)),
        fc.tuple(fc.nat(12), fc.nat(12), fc.nat(12)),
        (text, cutsOfOne, cutsOfOther) => {
          const one = cutInFour(text, cutsOfOne)
          const other = cutInFour(text, cutsOfOther)
          fc.pre(JSON.stringify(one) !== JSON.stringify(other))
          const sealed = seal(key, Buffer.from('x'), one)
          expect(() => open(key, sealed, other)).toThrow(SealBrokenError)
        },
      ),
    )
    const sealed = seal(key, Buffer.from('x'), { ...binding, table: 'ab', column: 'c' })
    expect(() => open(key, sealed, { ...binding, table: 'a', column: 'bc' })).toThrow(SealBrokenError)
  })

  it.each([-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53])(
    'cannot have the row version %d',
    (rowVersion) => {
      expect(() => seal(key, Buffer.from('x'), { ...binding, rowVersion })).toThrow(RangeError)
    },
  )

  it('cannot contain text that UTF-8 encodes like another text', () => {
    expect(() => seal(key, Buffer.from('x'), { ...binding, rowId: '\ud800' })).toThrow(RangeError)
  })
})

describe('a sealing key', () => {
  it.each(['', '0123', '0123456789ABCDEF', '0123456789abcdeg', '0123456789abcdef00'])(
    'cannot have the id %j',
    (id) => {
      expect(() => seal({ id, bytes: key.bytes }, Buffer.from('x'), binding)).toThrow(RangeError)
    },
  )

  it.each([0, 16, 24, 31, 33])('cannot have %i bytes', (length) => {
    expect(() => seal({ id: key.id, bytes: randomBytes(length) }, Buffer.from('x'), binding)).toThrow(
      RangeError,
    )
  })

  it.each([0, 8, 11, 13, 16])('cannot be used with a nonce of %i bytes', (length) => {
    const input = { key: key.bytes, nonce: randomBytes(length), aad: Buffer.alloc(0) }
    expect(() => encryptGcm(input, Buffer.from('x'))).toThrow(RangeError)
    expect(() => decryptGcm(input, Buffer.from('x'), Buffer.alloc(16))).toThrow(RangeError)
  })
})

describe('errors', () => {
  it('have a code, and reveal nothing of the key, the text or the binding', () => {
    const sealed = seal(key, Buffer.from('a password'), binding)
    const broken = caught(() => open(key, flipBit(sealed, sealed.length * 8 - 1), binding))
    expect(broken).toMatchObject({ code: 'SEAL_BROKEN', message: 'the sealed value does not open here' })
    expect(broken).not.toHaveProperty('cause')
    const unknown = caught(() => open({ ...key, id: 'fedcba9876543210' }, sealed, binding))
    expect(unknown).toMatchObject({ code: 'UNKNOWN_KEY', keyId: key.id })
    expect(Object.keys(unknown).sort()).toEqual(['code', 'keyId', 'name'])
  })
})

function caught(attempt: () => unknown): Error {
  try {
    attempt()
  } catch (error) {
    if (error instanceof Error) return error
  }
  throw new Error('nothing was thrown')
}

function cutInFour(text: string, cuts: readonly number[]): Binding {
  const [a = 0, b = 0, c = 0] = cuts.map((cut) => cut % (text.length + 1)).sort((x, y) => x - y)
  return {
    table: text.slice(0, a),
    column: text.slice(a, b),
    tenantId: text.slice(b, c),
    rowId: text.slice(c),
    rowVersion: 1,
  }
}
