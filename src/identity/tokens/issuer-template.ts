/** One entry for many directories: `https://login.example/{tid}/v2.0` means each issuer with a directory's id there. */
const TID_PLACEHOLDER = '{tid}'
/** Nothing that leads to another path, or to another host. */
const TID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/
const ONE_SEGMENT = /^https?:\/\/[^/{}]+\/(?:[^{}]*\/)?\{tid\}(?:\/[^{}]*)?$/

export function isTemplate(text: string): boolean {
  return text.includes(TID_PLACEHOLDER)
}

/** Whether the id has one place, and that is a whole part of the path. */
export function isSoundTemplate(text: string): boolean {
  return ONE_SEGMENT.test(text)
}

/** The directory's id in the name of an issuer; null when the name does not fit the template. */
export function tidIn(template: string, issuer: string): string | null {
  const [before = '', after = ''] = template.split(TID_PLACEHOLDER)
  if (!issuer.startsWith(before) || !issuer.endsWith(after)) return null
  const tid = issuer.slice(before.length, issuer.length - after.length)
  return TID.test(tid) ? tid : null
}

/** The template with a directory's id in its place. */
export function fillTemplate(template: string, tid: string): string {
  return template.replaceAll(TID_PLACEHOLDER, tid)
}

/** Whether one name of an issuer could fit both templates, so that it would not be clear whose rules count. */
export function doOverlap(a: string, b: string): boolean {
  const [parts, others] = [a.split('/'), b.split('/')]
  const fits = (part: string, i: number) =>
    part === others[i] || part === TID_PLACEHOLDER || others[i] === TID_PLACEHOLDER
  return parts.length === others.length && parts.every(fits)
}
