import fc from 'fast-check'
import type { FastifyInstance } from 'fastify'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { PublicError } from '../../../src/errors.ts'
import { parseJson } from '../../../src/http/transport/json-body.ts'
import { makeServer } from './fakes.ts'

function codeOf(text: string | Buffer): string {
  try {
    parseJson(Buffer.from(text as string))
    return 'read'
  } catch (error) {
    return error instanceof PublicError ? error.code : String(error)
  }
}

describe('parseJson', () => {
  it('reads everything that JSON.stringify writes', () => {
    fc.assert(
      fc.property(fc.json({ noUnicodeString: false }), (text) => {
        if (codeOf(text) === 'read') expect(parseJson(Buffer.from(text))).toEqual(JSON.parse(text))
        else expect(text).toMatch(/__proto__|constructor|\\u0000|\\ud[89a-f]/)
      }),
    )
  })

  it.each([
    ['a name that stands twice', '{"a":1,"a":2}'],
    ['one that is spelled in two ways', '{"a":1,"\\u0061":2}'],
    ['one deep inside', '{"x":[{"y":{"a:":1,"b":"\\"","a:":2}}]}'],
    ['a prototype', '{"__proto__":{"admin":true}}'],
    ["a constructor's prototype", '{"constructor":{"prototype":{}}}'],
    ['a comma too many', '{"a":1,}'],
    ['a byte order mark', '\ufeff{}'],
    ['bytes that are not UTF-8', Buffer.from([0x22, 0xff, 0x22])],
    ['a depth of 65', '['.repeat(65) + ']'.repeat(65)],
    ['a depth of a hundred thousand', '['.repeat(100_000) + ']'.repeat(100_000)],
  ])('refuses %s', (_case, text) => {
    expect(codeOf(text)).toBe('MALFORMED_JSON')
  })

  it('refuses more values than any request needs, before a schema reports each of them', () => {
    const of = (count: number) => JSON.stringify(Array.from({ length: count - 1 }, () => 1))
    expect(codeOf(of(10_000))).toBe('read')
    expect(codeOf(of(10_001))).toBe('PAYLOAD_TOO_LARGE')
    const names = Array.from({ length: 10_000 }, (_, i) => [`k${i}`, 1] as const)
    expect(codeOf(JSON.stringify(Object.fromEntries(names)))).toBe('PAYLOAD_TOO_LARGE')
  })

  it('refuses too many values without building them, and stops reading there', () => {
    const parse = vi.spyOn(JSON, 'parse')
    expect(codeOf(`[${'[],'.repeat(300_000)}[]]`)).toBe('PAYLOAD_TOO_LARGE')
    expect(codeOf(`{"a":[${'1,'.repeat(300_000)}`)).toBe('PAYLOAD_TOO_LARGE')
    expect(codeOf('['.repeat(300_000))).toBe('MALFORMED_JSON')
    expect(parse).not.toHaveBeenCalled()
    // Brackets and commas inside a string do not count.
    expect(codeOf(`"${'[,:'.repeat(100_000)}"`)).toBe('read')
    expect(codeOf(`"${'\\\\'.repeat(100_000)}`)).toBe('MALFORMED_JSON')
    parse.mockRestore()
  })

  it.each([
    '{"constructor":"Gustave Eiffel"}',
    '{"a":{"b":1},"b":2}',
    '{"a":"b:c\\\\","d":"\\":"}',
    '1e3',
    '"x"',
  ])('reads %s', (text) => {
    expect(codeOf(text)).toBe('read')
  })

  it.each(['{"a":["\\u0000"]}', '{"a":["\\ud800"]}'])(
    'names the member that no text column can store: %s',
    (text) => {
      expect(() => parseJson(Buffer.from(text))).toThrow(
        expect.objectContaining({ extra: { errors: [expect.objectContaining({ pointer: '/a/0' })] } }),
      )
    },
  )

  it('does not repeat the body in its errors', () => {
    expect(() => parseJson(Buffer.from('{"password": canary}'))).toThrow(
      expect.objectContaining({ extra: { detail: expect.not.stringContaining('canary') } }),
    )
  })

  it('takes time in proportion to the length', () => {
    const wide = JSON.stringify(
      Object.fromEntries(Array.from({ length: 9_000 }, (_, i) => [`name-${i}`, ':"'.repeat(40)])),
    )
    const begun = performance.now()
    expect(codeOf(wide)).toBe('read')
    expect(performance.now() - begun).toBeLessThan(1000)
  })
})

describe('bodies', () => {
  let server: FastifyInstance
  beforeAll(() => {
    server = makeServer({}, (app) => {
      const schema = {
        body: {
          type: 'object',
          required: ['n'],
          properties: {
            n: { type: 'integer' },
            b: { type: 'boolean' },
            'a/b': { type: 'string', enum: ['x', 'y'] },
          },
          additionalProperties: false,
        },
        querystring: {
          type: 'object',
          properties: { limit: { type: 'integer', maximum: 9 } },
          additionalProperties: false,
        },
      }
      const options = { config: { access: { kind: 'open' } }, schema } as const
      app.post('/body', options, async ({ body, query }) => ({ body, query }))
      app.patch('/body', options, async ({ body }) => ({ body }))
    })
  })
  afterAll(() => server.close())

  const ask = async (payload: string | Buffer | undefined, type?: string, url = '/body') =>
    server.inject({
      method: 'POST',
      url,
      ...(payload !== undefined && { payload }),
      headers: type === undefined ? {} : { 'content-type': type },
    })

  it.each<[string, string | Buffer | undefined, string | undefined, number, string]>([
    ['another type', 'n=1', 'application/x-www-form-urlencoded', 415, 'UNSUPPORTED_MEDIA_TYPE'],
    ['text', '{"n":1}', 'text/plain', 415, 'UNSUPPORTED_MEDIA_TYPE'],
    ['no type', '{"n":1}', undefined, 415, 'UNSUPPORTED_MEDIA_TYPE'],
    ['a type that is none', '{"n":1}', 'json', 415, 'UNSUPPORTED_MEDIA_TYPE'],
    ['another character set', '{"n":1}', 'application/json; charset=latin1', 415, 'UNSUPPORTED_MEDIA_TYPE'],
    [
      'a merge patch where nothing is patched',
      '{"n":1}',
      'application/merge-patch+json',
      415,
      'UNSUPPORTED_MEDIA_TYPE',
    ],
    [
      'a body that is too large',
      Buffer.alloc(1024 * 1024 + 1, 0x20),
      'application/json',
      413,
      'PAYLOAD_TOO_LARGE',
    ],
    ['an empty body', '', 'application/json', 400, 'VALIDATION_FAILED'],
    ['no body', undefined, undefined, 400, 'VALIDATION_FAILED'],
    ['broken JSON', '{"n":', 'application/json', 400, 'MALFORMED_JSON'],
    ['a text for a number', '{"n":"1"}', 'application/json', 400, 'VALIDATION_FAILED'],
    ['a number beyond all numbers', '{"n":1e999}', 'application/json', 400, 'VALIDATION_FAILED'],
    ['another shape', '[1]', 'application/json', 400, 'VALIDATION_FAILED'],
  ])('of %s are refused', async (...[, payload, type, status, code]) => {
    const response = await ask(payload, type)
    expect(response.json()).toMatchObject({ status, code })
  })

  it('are accepted as JSON, and for PATCH as a merge patch', async () => {
    expect((await ask('{"n":1}', 'application/json; charset=UTF-8')).json()).toEqual({
      body: { n: 1 },
      query: {},
    })
    const headers = { 'content-type': 'application/merge-patch+json' }
    const patched = await server.inject({ method: 'PATCH', url: '/body', payload: '{"n":2}', headers })
    expect(patched.json()).toEqual({ body: { n: 2 } })
  })

  it('get an answer that names every fault by a pointer', async () => {
    const response = await ask('{"b":1,"a/b":"z","t~x":0}', 'application/json')
    expect(response.json().errors).toEqual(
      expect.arrayContaining([
        { pointer: '/n', message: 'is required' },
        { pointer: '/t~0x', message: 'is not known here' },
        { pointer: '/b', message: 'must be boolean' },
        { pointer: '/a~1b', message: 'must be one of x, y' },
      ]),
    )
  })

  it('are not coerced, but queries are', async () => {
    expect((await ask('{"n":1}', 'application/json', '/body?limit=5')).json()).toMatchObject({
      query: { limit: 5 },
    })
    const refused = await ask('{"n":1}', 'application/json', '/body?limit=10&x=1')
    expect(
      refused
        .json()
        .errors.map(({ pointer }: { pointer: string }) => pointer)
        .sort(),
    ).toEqual(['/limit', '/x'])
  })
})
