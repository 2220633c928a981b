import fc from 'fast-check'
import { expect, test } from 'vitest'
import { DataKey } from '../../../src/crypto/keyring.ts'
import { makeRefreshToken, parseRefreshToken, successorOf } from '../../../src/identity/login/sessions.ts'

test('a refresh token names its tenant and session without a look-up', () => {
  fc.assert(
    fc.property(fc.uuid(), fc.uuid(), (tenantId, sessionId) => {
      const token = makeRefreshToken(tenantId, sessionId)
      expect(parseRefreshToken(token.text)).toEqual(token)
    }),
  )
})

test('a text of another form is no refresh token', () => {
  const { text } = makeRefreshToken('01890000-0000-7000-8000-000000000001')
  const wrong = [
    '',
    text.slice(1),
    `${text}A`,
    `${text}\n`,
    text.replace('fhr_', 'fhk_'),
    text.replace(/.$/, '*'),
  ]
  for (const each of wrong) expect(parseRefreshToken(each)).toBeNull()
  fc.assert(fc.property(fc.string(), (junk) => parseRefreshToken(junk) === null))
})

test('a refresh token has one spelling only', () => {
  const { text } = makeRefreshToken('01890000-0000-7000-8000-000000000001')
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  // 32 bytes leave two bits of the last character unused: there are four spellings, and one is valid.
  const last = alphabet.indexOf(text.at(-1) ?? '')
  const others = [1, 2, 3].map((bits) => text.slice(0, -1) + alphabet[last | bits])
  for (const other of others) expect(parseRefreshToken(other)).toBeNull()
})

test('a successor is always the same, has the usual form, and cannot be computed without the key', () => {
  const [key, other] = [DataKey.generate(), DataKey.generate()]
  fc.assert(
    fc.property(fc.uuid(), (tenantId) => {
      const [token, second] = [makeRefreshToken(tenantId), makeRefreshToken(tenantId)]
      const next = successorOf(key, token)
      expect(successorOf(key, token)).toEqual(next)
      expect(parseRefreshToken(next.text)).toEqual(next)
      expect(next.tenantId).toBe(tenantId)
      const others = [
        token,
        second,
        successorOf(other, token),
        successorOf(key, second),
        successorOf(key, next),
      ]
      expect(others.map(({ text }) => text)).not.toContain(next.text)
      expect(others.map(({ sessionId }) => sessionId)).not.toContain(next.sessionId)
      // Checks the secret alone too, because the id can be read in the database.
      expect(others.map(({ text }) => text.slice(-43))).not.toContain(next.text.slice(-43))
    }),
  )
})
