import { afterText, ProtocolViolation } from './backend-messages.ts'

/** The kinds of Authentication that pg can answer. */
export const Authentication = {
  ok: 0,
  clearText: 3,
  md5: 5,
  sasl: 10,
  saslContinue: 11,
  saslFinal: 12,
} as const

/** The code of an Authentication message, once its body was checked for that code. */
export function authenticationCode(bytes: Buffer, start: number, end: number): number {
  const code = bytes.readInt32BE(start)
  if (!isAuthentication(code, bytes, { start: start + 4, end }))
    throw new ProtocolViolation('an authentication that the client does not know')
  return code
}

const SCRAM_CHALLENGE = /^r=[\x21-\x2b\x2d-\x7e]+,s=[A-Za-z0-9+/]+=*,i=[1-9]\d{0,9}(?:,|$)/
const SCRAM_OUTCOME = /^[ev]=[\x20-\x7e]+$/

function isAuthentication(
  code: number,
  bytes: Buffer,
  { start, end }: { start: number; end: number },
): boolean {
  const text = () => bytes.toString('latin1', start, end)
  switch (code) {
    case Authentication.ok:
    case Authentication.clearText:
      return end === start
    case Authentication.md5:
      return end === start + 4
    case Authentication.sasl:
      return isListOfTexts(bytes, start, end)
    case Authentication.saslContinue:
      return SCRAM_CHALLENGE.test(text())
    case Authentication.saslFinal:
      return SCRAM_OUTCOME.test(text())
    default:
      return false
  }
}

/** A list of texts that are not empty, ended by an empty one. */
function isListOfTexts(bytes: Buffer, start: number, end: number): boolean {
  let at = start
  while (at < end && bytes[at] !== 0) at = afterText(bytes, at, end)
  return at === end - 1
}
