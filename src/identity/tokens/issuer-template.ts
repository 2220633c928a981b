/** One entry for many directories: `https://login.example/{tid}/v2.0` matches every issuer with a directory's id there. */
const TID_PLACEHOLDER = '{tid}'
/** No characters that could change the path or the host. */
const TID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/
const ONE_SEGMENT = /^https?:\/\/[^/{}]+\/(?:[^{}]*\/)?\{tid\}(?:\/[^{}]*)?$/

export function isTemplate(text: string): boolean {
  return text.includes(TID_PLACEHOLDER)
}

/** True if the template has one placeholder, which is a whole segment of the path. */
export function isSoundTemplate(text: string): boolean {
  return ONE_SEGMENT.test(text)
}

/** The directory's id in the name of an issuer. Null if the name does not match the template. */
export function tidIn(template: string, issuer: string): string | null {
  const [before = '', after = ''] = template.split(TID_PLACEHOLDER)
  if (!issuer.startsWith(before) || !issuer.endsWith(after)) return null
  const tid = issuer.slice(before.length, issuer.length - after.length)
  return TID.test(tid) ? tid : null
}

/** The template with a directory's id instead of the placeholder. */
export function fillTemplate(template: string, tid: string): string {
  return template.replaceAll(TID_PLACEHOLDER, tid)
}

/** True if one issuer could match both templates, so that it would not be clear which rules apply. */
export function doOverlap(a: string, b: string): boolean {
  const [parts, others] = [a.split('/'), b.split('/')]
  const fits = (part: string, i: number) =>
    part === others[i] || part === TID_PLACEHOLDER || others[i] === TID_PLACEHOLDER
  return parts.length === others.length && parts.every(fits)
}
