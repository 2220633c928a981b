/**
 * True if `text` is base64url in its only valid spelling. The last letter has unused bits, and Node skips characters that are
 * not letters. If we accepted both, one token would have several texts.
 */
export function isCanonicalBase64Url(text: string): boolean {
  return Buffer.from(text, 'base64url').toString('base64url') === text
}
