import { type ConnectionStringPlace, type ConnectionStringReason, refuse } from './connection-refusals.ts'

/** Percent-decodes one part, after refusing the characters over which URL parsers disagree. */
export function readPart(
  raw: string | null,
  missing: ConnectionStringReason,
  place: ConnectionStringPlace,
): string {
  if (!raw) return refuse(missing)
  if (/[[\]@?\\]/.test(raw)) refuse('RESERVED_CHARACTER', place)
  const part = decode(raw, place)
  // Line and paragraph separators end a line in some logs and terminals, as control characters do.
  if (/[\p{Cc}\u2028\u2029]/u.test(part)) refuse('CONTROL_ENCODED', place)
  return part
}

function decode(raw: string, place: ConnectionStringPlace): string {
  try {
    return decodeURIComponent(raw)
  } catch {
    return refuse('ENCODING_INVALID', place)
  }
}

/** Splits at the first separator; the second part is null if there is no separator. */
export function splitOnce(text: string, separator: string): [string, string | null] {
  const at = text.indexOf(separator)
  return at < 0 ? [text, null] : [text.slice(0, at), text.slice(at + 1)]
}
