import { describe, expect, it } from 'vitest'
import { decryptGcm, encryptGcm, SealBrokenError } from '../../../src/crypto/envelope.ts'
import published from './vectors/mcgrew-viega-aes-256-gcm.json' with { type: 'json' }
import wycheproof from './vectors/wycheproof-aes-gcm-256.json' with { type: 'json' }

const hex = (text: string) => Buffer.from(text, 'hex')

describe.each([
  ['McGrew and Viega', published],
  ['Wycheproof', wycheproof],
])('AES-256-GCM agrees with the published vectors of %s', (_name, { tests }) => {
  it.each(tests)('case $tcId ($result)', (test) => {
    const input = { key: hex(test.key), nonce: hex(test.iv), aad: hex(test.aad) }
    const sealed = encryptGcm(input, hex(test.msg))
    expect(sealed.body.toString('hex')).toBe(test.ct)
    if (test.result === 'valid') {
      expect(sealed.tag.toString('hex')).toBe(test.tag)
      expect(decryptGcm(input, hex(test.ct), hex(test.tag)).toString('hex')).toBe(test.msg)
    } else {
      expect(sealed.tag.toString('hex')).not.toBe(test.tag)
      expect(() => decryptGcm(input, hex(test.ct), hex(test.tag))).toThrow(SealBrokenError)
    }
  })

  it('refuses each vector with a longer tag, or one cut to 0 to 15 bytes', () => {
    for (const test of tests) {
      const input = { key: hex(test.key), nonce: hex(test.iv), aad: hex(test.aad) }
      for (let length = 0; length < 16; length += 1) {
        const cut = hex(test.tag).subarray(0, length)
        expect(() => decryptGcm(input, hex(test.ct), cut)).toThrow(SealBrokenError)
      }
      expect(() => decryptGcm(input, hex(test.ct), hex(`${test.tag}00`))).toThrow(SealBrokenError)
    }
  })
})
