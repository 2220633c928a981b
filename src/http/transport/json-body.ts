import type { FastifyInstance, FastifyRequest } from 'fastify'
import { type FieldError, fail } from '../../errors.ts'

const MAX_DEPTH = 64
/** No valid request has more values. The limit exists because the schema may report a fault for each value. */
const MAX_VALUES = 10_000
const JSON_TYPE = 'application/json'
const FORM_TYPE = 'application/x-www-form-urlencoded'
const MERGE_PATCH_TYPE = 'application/merge-patch+json'
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Lets the server read JSON bodies only. For PATCH the media type of a merge patch (RFC 7396) is accepted too. */
export function acceptJsonBodies(server: FastifyInstance): void {
  server.removeAllContentTypeParsers()
  // `curl -d ''` names the media type of a form and sends nothing. That counts as no body.
  server.addContentTypeParser(FORM_TYPE, { parseAs: 'buffer' }, (_request, bytes, done) => {
    done(bytes.length === 0 ? null : fail('UNSUPPORTED_MEDIA_TYPE'), undefined)
  })
  server.addContentTypeParser(
    [JSON_TYPE, MERGE_PATCH_TYPE],
    { parseAs: 'buffer' },
    (request, bytes, done) => {
      let body: unknown
      try {
        assertPlainJson(request)
        // Clients often name a media type and send nothing, for instance with DELETE. If a body is needed, the schema refuses.
        body = bytes.length === 0 ? undefined : parseJson(bytes as Buffer)
      } catch (error) {
        done(error as Error)
        return
      }
      done(null, body)
    },
  )
}

function assertPlainJson({ method, headers }: FastifyRequest): void {
  const type = (headers['content-type'] ?? '').toLowerCase()
  const encoding = headers['content-encoding'] ?? 'identity'
  const charset = /;\s*charset="?([^\s;"]*)/.exec(type)?.[1] ?? 'utf-8'
  const misplaced = type.startsWith(MERGE_PATCH_TYPE) && method !== 'PATCH'
  if (misplaced || encoding.toLowerCase() !== 'identity' || !['utf-8', 'utf8'].includes(charset)) {
    throw fail('UNSUPPORTED_MEDIA_TYPE')
  }
}

/**
 * Parses a JSON text. Refuses some texts that JSON.parse accepts: those with a name twice in one object (other parsers take the
 * first value), with names of prototypes, with bytes that are not UTF-8, and with characters that PostgreSQL cannot store. Takes
 * time linear in the length.
 *
 * @throws PublicError MALFORMED_JSON; PAYLOAD_TOO_LARGE for more than `MAX_VALUES` values; VALIDATION_FAILED with the pointer to a
 *   character that cannot be stored.
 */
export function parseJson(bytes: Uint8Array): unknown {
  const names = scan(bytes)
  const value = parse(decode(bytes))
  const walk = new Walk()
  walk.visit(value, 0)
  // JSON.parse keeps one of two equal names, so the text then has more names than the value.
  if (walk.names !== names) throw malformed('An object in the body has the same name twice.')
  if (walk.faults.length > 0) throw fail('VALIDATION_FAILED', { errors: walk.faults })
  return value
}

function decode(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw malformed('The body is not UTF-8.')
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // The parser's own message is not passed on, because it quotes the body.
    throw malformed('The body cannot be read as JSON.')
  }
}

function malformed(detail: string) {
  return fail('MALFORMED_JSON', { detail })
}

const QUOTE = 0x22
const BACKSLASH = 0x5c

/**
 * Refuses a body with too many values before it is parsed: half a million values block the event loop for a tenth of a second.
 * Returns the number of colons outside of strings. In valid JSON, each of them follows a name.
 */
function scan(bytes: Uint8Array): number {
  let [names, commas, depth] = [0, 0, 0]
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]
    if (byte === QUOTE) at = endOfString(bytes, at)
    else if (byte === 0x3a) names++
    else if (byte === 0x2c) commas++
    else if (byte === 0x5b || byte === 0x7b) depth++
    else if (byte === 0x5d || byte === 0x7d) depth--
    if (commas > MAX_VALUES) throw tooMany()
    if (depth > MAX_DEPTH) throw tooDeep()
  }
  return names
}

/** The position of the closing quote, or the end of a text that has none. */
function endOfString(bytes: Uint8Array, start: number): number {
  let at = start + 1
  while (at < bytes.length && bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1
  return at
}

function tooMany() {
  return fail('PAYLOAD_TOO_LARGE', { detail: `The body holds more than ${MAX_VALUES} values.` })
}

function tooDeep() {
  return malformed(`The body is nested more than ${MAX_DEPTH} deep.`)
}

/** Goes through a parsed value once, counts names and collects characters that cannot be stored. */
class Walk {
  names = 0
  #values = 0
  readonly faults: FieldError[] = []
  readonly #path: (string | number)[] = []

  visit(value: unknown, depth: number): void {
    this.#values++
    if (this.#values > MAX_VALUES) throw tooMany()
    if (typeof value === 'string') this.#text(value)
    if (typeof value !== 'object' || value === null) return
    if (depth >= MAX_DEPTH) throw tooDeep()
    if (Array.isArray(value)) {
      for (let i = 0; i < value.length; i++) this.#enter(i, value[i], depth)
      return
    }
    for (const name of Object.keys(value)) {
      this.names++
      const child: unknown = (value as Record<string, unknown>)[name]
      if (isPoison(name, child)) throw malformed('A name in the body is reserved.')
      this.#text(name)
      this.#enter(name, child, depth)
    }
  }

  #enter(step: string | number, child: unknown, depth: number): void {
    this.#path.push(step)
    this.visit(child, depth + 1)
    this.#path.pop()
  }

  #text(text: string): void {
    if (this.faults.length >= 20 || (text.isWellFormed() && !text.includes('\0'))) return
    const pointer = this.#path.map((step) => `/${escapePointer(String(step))}`).join('')
    this.faults.push({ pointer, message: 'must not contain U+0000 or half of a surrogate pair' })
  }
}

function isPoison(name: string, child: unknown): boolean {
  if (name === '__proto__') return true
  return (
    name === 'constructor' && typeof child === 'object' && child !== null && Object.hasOwn(child, 'prototype')
  )
}

/** One step of a JSON Pointer (RFC 6901). */
export function escapePointer(step: string): string {
  return step.replaceAll('~', '~0').replaceAll('/', '~1')
}
