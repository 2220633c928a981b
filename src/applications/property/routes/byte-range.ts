/** Bytes from the first to the last, both included. */
export interface Bytes {
  readonly first: number
  readonly last: number
}

/**
 * The single range that `Range` asks for (RFC 9110, section 14), cut to the size of the file; null when it lies outside the
 * file. Undefined when the whole file is the answer: no header, an invalid header, or several ranges, which a server may ignore.
 */
export function rangeOf(header: string | undefined, size: number): Bytes | null | undefined {
  const [, from, to] = /^bytes=[\t ]*(\d{0,15})-(\d{0,15})[\t ]*$/i.exec(header ?? '') ?? []
  if (from === undefined || to === undefined || (from === '' && to === '')) return undefined
  if (from === '') {
    const length = Math.min(Number(to), size)
    return length === 0 ? null : { first: size - length, last: size - 1 }
  }
  const first = Number(from)
  const last = to === '' ? size - 1 : Math.min(Number(to), size - 1)
  if (to !== '' && Number(to) < first) return undefined
  return first < size ? { first, last } : null
}
