import { inspect } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Binding, SealBrokenError, sealedKeyId, UnknownKeyError } from '../../../src/crypto/envelope.ts'
import { generateMasterKey, MasterKey, parseMasterKey } from '../../../src/crypto/key-source.ts'
import { DataKey, Keyring, type Purpose } from '../../../src/crypto/keyring.ts'

const place: Binding = {
  table: 'data_keys',
  column: 'wrapped',
  tenantId: '0198c1d2-0000-7000-8000-000000000001',
  rowId: '0198c1d2-0000-7000-8000-000000000002',
  rowVersion: 1,
}
const purposes: Purpose[] = [
  'database-credential',
  'server-credential',
  'signing-key',
  'client-key-hash',
  'operator-token-hash',
  'cursor',
  'refresh-successor',
]
const newMaster = () => parseMasterKey(generateMasterKey())
const pairs = purposes.flatMap((a) => purposes.filter((b) => b !== a).map((b) => [a, b] as const))

describe('Keyring', () => {
  const [old, current, stranger] = [newMaster(), newMaster(), newMaster()]

  it('wraps a data key that opens again as the same key', () => {
    const ring = new Keyring(current)
    const dataKey = DataKey.generate()
    const again = ring.unwrapDataKey(ring.wrapDataKey(dataKey, place), place)
    expect(again.id).toBe(dataKey.id)
    const sealed = dataKey.seal('signing-key', 'a text', place)
    expect(again.open('signing-key', sealed, place).toString()).toBe('a text')
    expect(again.mac('cursor', 'm')).toEqual(dataKey.mac('cursor', 'm'))
  })

  it('seals under the primary key and names that key', () => {
    const ring = new Keyring(current, [old])
    expect(ring.primaryKeyId).toBe(current.id)
    expect(ring.keyIds).toEqual([current.id, old.id])
    expect(sealedKeyId(ring.wrapDataKey(DataKey.generate(), place))).toBe(current.id)
  })

  it('opens what a retired key sealed, and rewraps it under the primary key', () => {
    const dataKey = DataKey.generate()
    const sealedBefore = new Keyring(old).wrapDataKey(dataKey, place)
    const ring = new Keyring(current, [stranger, old])
    const opened = ring.unwrapDataKey(sealedBefore, place)
    expect(opened.id).toBe(dataKey.id)
    const later = { ...place, rowVersion: 2 }
    expect(new Keyring(current).unwrapDataKey(ring.wrapDataKey(opened, later), later).id).toBe(dataKey.id)
  })

  it('refuses what an unknown key sealed, and names that key', () => {
    const sealed = new Keyring(stranger).wrapDataKey(DataKey.generate(), place)
    const attempt = () => new Keyring(current, [old]).unwrapDataKey(sealed, place)
    expect(attempt).toThrow(UnknownKeyError)
    expect(attempt).toThrow(expect.objectContaining({ code: 'UNKNOWN_KEY', keyId: stranger.id }))
  })

  it('refuses a wrapped key that was changed, truncated or moved', () => {
    const ring = new Keyring(current)
    const sealed = ring.wrapDataKey(DataKey.generate(), place)
    const changed = Buffer.from(sealed)
    changed.writeUInt8(changed.readUInt8(30) ^ 1, 30)
    for (const bad of [changed, sealed.subarray(0, -1), sealed.subarray(0, 20), Buffer.alloc(0)]) {
      expect(() => ring.unwrapDataKey(bad, place)).toThrow(SealBrokenError)
    }
    expect(() => ring.unwrapDataKey(sealed, { ...place, tenantId: null })).toThrow(SealBrokenError)
    expect(() => ring.unwrapDataKey(sealed, { ...place, rowVersion: 2 })).toThrow(SealBrokenError)
  })

  it('lists a key once, even if it is given more than once', () => {
    expect(new Keyring(current, [old, current, old]).keyIds).toEqual([current.id, old.id])
  })

  it('still opens a data key that an earlier release wrapped', () => {
    const master = new MasterKey(Buffer.from('00112233445566778899aabbccddeeff'.repeat(2), 'hex'))
    const dataKey = new Keyring(master).unwrapDataKey(
      Buffer.from(
        '0167012ca7d65ed4f1e88fd1e40fcf827767bdb773e52779165a6d83ed49ed55445cef0d71dd57fdb0cc32aa7854fccae5485bb12ba9fbe1dd3375f1db9e082e4c2143e362',
        'hex',
      ),
      place,
    )
    expect(dataKey.id).toBe('e8d3fddb207e3548')
    const sealed = Buffer.from(
      '01e8d3fddb207e35488c3612139354f884986253adac7ebe745a349972873ca29a8b207b243f0d9efe578951b5f8c23604fa',
      'hex',
    )
    expect(dataKey.open('database-credential', sealed, place).toString()).toBe('an old secret')
    expect(dataKey.mac('client-key-hash', 'fhk_old').toString('hex')).toBe(
      '21393c7c7addee48aae923ca9692c9a77006c771a9964e4b241bfab3da85ccfa',
    )
  })
})

describe('DataKey', () => {
  it('is new each time', () => {
    expect(new Set(Array.from({ length: 50 }, () => DataKey.generate().id)).size).toBe(50)
  })

  it('opens what it sealed for the same purpose and binding, text or bytes', () => {
    const dataKey = DataKey.generate()
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme' }),
        fc.uint8Array(),
        fc.constantFrom(...purposes),
        (text, bytes, purpose) => {
          const openAgain = (plaintext: string | Buffer) =>
            dataKey.open(purpose, dataKey.seal(purpose, plaintext, place), place)
          expect(openAgain(text).toString('utf8')).toBe(text)
          expect(openAgain(Buffer.from(bytes))).toEqual(Buffer.from(bytes))
        },
      ),
    )
  })

  it('writes its id into what it seals', () => {
    const dataKey = DataKey.generate()
    expect(dataKey.id).toMatch(/^[0-9a-f]{16}$/)
    expect(sealedKeyId(dataKey.seal('signing-key', 'x', place))).toBe(dataKey.id)
  })

  it.each(pairs)('does not open for the purpose %s what was sealed for %s', (purpose, other) => {
    const dataKey = DataKey.generate()
    const sealed = dataKey.seal(other, 'x', place)
    expect(() => dataKey.open(purpose, sealed, place)).toThrow(SealBrokenError)
  })

  it('does not open what another data key sealed, or what was moved', () => {
    const dataKey = DataKey.generate()
    const sealed = dataKey.seal('cursor', 'x', place)
    expect(() => DataKey.generate().open('cursor', sealed, place)).toThrow(UnknownKeyError)
    expect(() => dataKey.open('cursor', sealed, { ...place, column: 'other' })).toThrow(SealBrokenError)
  })

  it('computes one 32-byte code for a message, a purpose and a key', () => {
    const dataKey = DataKey.generate()
    const codes = purposes.flatMap((purpose) => ['a', 'b'].map((text) => dataKey.mac(purpose, text)))
    expect(codes.every((code) => code.length === 32)).toBe(true)
    expect(new Set(codes.map((code) => code.toString('hex'))).size).toBe(codes.length)
    expect(dataKey.mac('cursor', 'a')).toEqual(dataKey.mac('cursor', Buffer.from('a')))
    expect(DataKey.generate().mac('cursor', 'a')).not.toEqual(dataKey.mac('cursor', 'a'))
  })

  it('cannot be printed, like the keyring', () => {
    const master = new MasterKey(Buffer.from('00112233445566778899aabbccddeeff'.repeat(2), 'hex'))
    const ring = new Keyring(master)
    const dataKey = DataKey.generate()
    dataKey.mac('cursor', 'derives and keeps a subkey')
    expect(Reflect.ownKeys(dataKey)).toEqual(['id'])
    expect(Reflect.ownKeys(ring).sort()).toEqual(['keyIds', 'primaryKeyId'])
    const ways = [String, JSON.stringify, (it: unknown) => inspect(it, { showHidden: true, depth: null })]
    const bare = (it: unknown) => inspect(it, { showHidden: true, customInspect: false, depth: null })
    for (const print of [...ways, bare]) {
      expect(print({ ring, dataKey, master })).not.toMatch(/00\s?11\s?22|Buffer|Uint8Array/)
    }
  })
})
