const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Parses a JSON object from UTF-8 bytes. It refuses input that parsers read differently: a name that occurs twice in one object
 * (`JSON.parse` keeps the last, others the first), bytes that are not UTF-8, and a byte order mark.
 *
 * @throws SyntaxError for these, and for JSON that is no object.
 */
export function parseStrictObject(bytes: Uint8Array): Record<string, unknown> {
  const text = decode(bytes)
  const value: unknown = JSON.parse(text)
  if (!isObject(value)) throw new SyntaxError('not a JSON object')
  assertNamesUnique(text)
  return value
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function decode(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw new SyntaxError('not UTF-8')
  }
}

/** Reads the strings and braces of a valid JSON text. A string with a colon after it is a name. */
function assertNamesUnique(text: string): void {
  const names: Set<string>[] = []
  for (const [token, colon] of text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?|[{}]/g)) {
    if (token === '{') names.push(new Set())
    else if (token === '}') names.pop()
    else if (colon !== undefined) addName(names.at(-1), JSON.parse(token.slice(0, -colon.length)))
  }
}

function addName(names: Set<string> | undefined, name: string): void {
  if (names?.has(name)) throw new SyntaxError('a name occurs twice')
  names?.add(name)
}
