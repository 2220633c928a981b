import type { FastifyInstance, FastifyRequest } from 'fastify'
import { type FieldError, fail } from '../../errors.ts'

const MAX_DEPTH = 64
/** No valid request has as many values. Each value may be a fault that the schema must report. */
const MAX_VALUES = 10_000
const JSON_TYPE = 'application/json'
const FORM_TYPE = 'application/x-www-form-urlencoded'
const MERGE_PATCH_TYPE = 'application/merge-patch+json'
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Makes JSON the only body a server reads; PATCH may also call it a merge patch (RFC 7396). */
export function acceptJsonBodies(server: FastifyInstance): void {
  server.removeAllContentTypeParsers()
  // `curl -d ''` names a form and sends nothing, which is as good as no body.
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
        // DELETE and the like often name a type and send nothing; a schema refuses the lack where a body is needed.
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
 * Reads a JSON text and refuses what JSON.parse lets through and others read differently or choke on: names that
 * stand twice (the last would win here, the first elsewhere), names that reach for prototypes, bytes that are not
 * UTF-8, and characters that PostgreSQL cannot keep. Takes time linear in the length.
 *
 * @throws PublicError MALFORMED_JSON; PAYLOAD_TOO_LARGE for more values than any request has; VALIDATION_FAILED with the place
 *   of a character that cannot be kept.
 */
export function parseJson(bytes: Uint8Array): unknown {
  const names = scan(bytes)
  const value = parse(decode(bytes))
  const walk = new Walk()
  walk.visit(value, 0)
  // JSON.parse folds names that stand twice into one, so the text then has more of them than the value.
  if (walk.names !== names) throw malformed('A name stands twice in one object.')
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
    // The parser's own message quotes the body.
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

/** The place of the closing quote; the end of a text that has none. */
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

/** Goes through a parsed value once, counting names and collecting what cannot be kept. */
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
