/**
 * Whether `text` is base64url in its one spelling. The last letter leaves bits over, and Node skips what is no letter: were
 * these free, one token would have several texts.
 */
export function isCanonicalBase64Url(text: string): boolean {
  return Buffer.from(text, 'base64url').toString('base64url') === text
}
