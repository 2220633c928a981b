import { inspect } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  generateMasterKey,
  KeyFormatError,
  MasterKey,
  parseMasterKey,
} from '../../../src/crypto/key-source.ts'

const keyBytes = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .filter((bytes) => new Set(bytes).size > 1)
  .map((bytes) => Buffer.from(bytes))

function refusal(text: string): Error {
  try {
    parseMasterKey(text)
  } catch (error) {
    if (error instanceof KeyFormatError) return error
    throw error
  }
  throw new Error('the key was accepted')
}

describe('parseMasterKey reads 32 bytes', () => {
  it('from hex in either case and from base64 in either alphabet, padded or not', () => {
    fc.assert(
      fc.property(keyBytes, (bytes) => {
        const base64 = bytes.toString('base64')
        const base64url = bytes.toString('base64url')
        const hex = bytes.toString('hex')
        const texts = [base64, base64.slice(0, -1), base64url, `${base64url}=`, hex, hex.toUpperCase()]
        const ids = texts.map((text) => parseMasterKey(text).id)
        expect(new Set(ids)).toEqual(new Set([new MasterKey(bytes).id]))
      }),
    )
  })

  it('that generateMasterKey creates, another one each time', () => {
    const texts = Array.from({ length: 50 }, generateMasterKey)
    expect(new Set(texts.map((text) => parseMasterKey(text).id)).size).toBe(50)
  })
})

describe('parseMasterKey refuses', () => {
  const good = Buffer.from('8f1d0c7e5a4b39281706f5e4d3c2b1a09f8e7d6c5b4a39281706f5e4d3c2b1a0', 'hex')
  const hex = good.toString('hex')
  const base64 = good.toString('base64')

  it.each([
    ['nothing', ''],
    ['white space alone', ' \n'],
    ['31 bytes of hex', hex.slice(2)],
    ['33 bytes of hex', `${hex}00`],
    ['an odd hex digit', hex.slice(1)],
    ['a letter outside hex', `g${hex.slice(1)}`],
    ['hex of mixed case', `${hex.slice(0, 63).toUpperCase()}a`.replace(/^./, 'f')],
    ['a prefix', `0x${hex}`],
    ['31 bytes of base64', good.subarray(1).toString('base64')],
    ['33 bytes of base64', Buffer.concat([good, Buffer.of(7)]).toString('base64')],
    ['too much padding', `${base64}=`],
    ['padding alone at the end of 42 characters', `${base64.slice(0, 42)}==`],
    ['padding inside', `${base64.slice(0, 20)}=${base64.slice(21)}`],
    ['both base64 alphabets at once', `+_${base64.slice(2)}`],
    ['a space before', ` ${base64}`],
    ['a newline after', `${base64}\n`],
    ['a newline after hex', `${hex}\n`],
    ['a newline inside', `${base64.slice(0, 20)}\n${base64.slice(20)}`],
    ['a no-break space after', `${base64}\u00a0`],
    ['quotes around', `"${base64}"`],
    ['two keys', `${base64},${base64}`],
    ['a passphrase of 32 characters', 'correct horse battery staple 123'],
    ['a passphrase of 64 characters', 'p'.repeat(64)],
    ['letters that only look like hex', `${hex.slice(0, 63)}а`],
    ['all zero, hex', '0'.repeat(64)],
    ['all zero, base64', Buffer.alloc(32).toString('base64')],
    ['all ones', 'f'.repeat(64)],
    ['one byte repeated', 'a5'.repeat(32)],
  ])('%s, and does not repeat it', (_name, text) => {
    const { message, stack } = refusal(text)
    if (text.trim().length < 8) return
    for (const part of [text, text.slice(0, 8), text.slice(-8)]) {
      expect(message).not.toContain(part)
      expect(stack).not.toContain(part)
    }
  })

  it('base64 whose unused last bits are set, because two texts would mean one key', () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
    const last = alphabet.indexOf(base64.charAt(42))
    for (const offset of [1, 2, 3]) refusal(`${base64.slice(0, 42)}${alphabet.charAt(last + offset)}=`)
  })

  it('a missing variable', () => {
    // @ts-expect-error a caller without types may pass undefined
    expect(() => parseMasterKey(undefined)).toThrow(KeyFormatError)
  })

  it('any other text', () => {
    const form = /^([0-9a-f]{64}|[0-9A-F]{64}|[A-Za-z0-9+/]{43}=?|[A-Za-z0-9_-]{43}=?)$/
    fc.assert(
      fc.property(fc.oneof(fc.string({ maxLength: 80 }), fc.base64String({ maxLength: 80 })), (text) => {
        fc.pre(!form.test(text))
        refusal(text)
      }),
    )
  })
})

describe('MasterKey', () => {
  const key = parseMasterKey('8f1d0c7e5a4b39281706f5e4d3c2b1a09f8e7d6c5b4a39281706f5e4d3c2b1a0')

  it('has an id of 16 hexadecimal digits that is the same in every release', () => {
    // With another fingerprint, values that were sealed before could not be opened.
    expect(key.id).toBe('d22efeae8ca90508')
  })

  it('has another id for another key', () => {
    fc.assert(
      fc.property(keyBytes, fc.nat(255), (bytes, bit) => {
        const other = Buffer.from(bytes)
        other.writeUInt8(other.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
        fc.pre(new Set(other).size > 1)
        expect(new MasterKey(other).id).not.toBe(new MasterKey(bytes).id)
      }),
    )
  })

  it.each([0, 16, 31, 33, 64])('cannot be made of %i bytes', (length) => {
    const bytes = Buffer.from(Array.from({ length }, (_, i) => i))
    expect(() => new MasterKey(bytes)).toThrow(KeyFormatError)
  })

  it('keeps its own copy of the bytes', () => {
    const bytes = Buffer.from('8f1d0c7e5a4b39281706f5e4d3c2b1a09f8e7d6c5b4a39281706f5e4d3c2b1a0', 'hex')
    const copied = new MasterKey(bytes)
    bytes.fill(0)
    expect(copied.subkey('x')).toEqual(key.subkey('x'))
  })

  it('derives a different subkey for each label, the same each time, and never the key itself', () => {
    expect(key.subkey('a')).toEqual(key.subkey('a'))
    expect(key.subkey('a')).not.toEqual(key.subkey('b'))
    expect(key.subkey('a').toString('hex')).not.toContain('8f1d0c7e5a4b')
  })

  it('cannot be printed', () => {
    const texts = [String(key), JSON.stringify({ key }), inspect(key, { showHidden: true })]
    for (const text of [...texts, inspect(key, { customInspect: false, showHidden: true })]) {
      expect(text).not.toMatch(/8f\s?1d\s?0c|143, ?29/)
    }
    expect(Reflect.ownKeys(key)).toEqual(['id'])
  })
})
