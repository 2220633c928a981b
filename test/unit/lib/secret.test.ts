import { inspect } from 'node:util'
import fc from 'fast-check'
import pino from 'pino'
import { describe, expect, it } from 'vitest'
import { Secret } from '../../../src/lib/secret.ts'

const TEXT = 'correct horse battery staple'

function logged(write: (logger: pino.Logger) => void): string {
  const lines: string[] = []
  write(pino({ level: 'trace' }, { write: (line: string) => lines.push(line) }))
  return lines.join('')
}

function errorCarrying(secret: Secret): Error {
  return Object.assign(new Error('failed', { cause: secret }), { secret })
}

/** Every way in which a value becomes text by accident. */
const printers: Record<string, (secret: Secret) => string> = {
  'String()': (secret) => String(secret),
  'a template literal': (secret) => `${secret}`,
  'joining it into a text': (secret) => `before ${[secret].join()} after`,
  'toLocaleString()': (secret) => secret.toLocaleString(),
  'JSON.stringify': (secret) => JSON.stringify(secret),
  'JSON.stringify of an object around it': (secret) => JSON.stringify({ target: { password: secret } }),
  'util.inspect': (secret) => inspect(secret),
  'util.inspect with everything shown': (secret) =>
    inspect({ deep: [secret] }, { showHidden: true, depth: null, getters: true, customInspect: true }),
  'util.inspect without custom inspection': (secret) =>
    inspect(secret, { showHidden: true, customInspect: false }),
  'Object.entries': (secret) => JSON.stringify([Object.entries(secret), Reflect.ownKeys(secret)]),
  'a spread copy': (secret) => inspect({ ...secret }),
  structuredClone: (secret) => inspect(structuredClone({ secret: { ...secret } })),
  'an error that carries it': (secret) => inspect(errorCarrying(secret)),
  'pino, as a field': (secret) => logged((logger) => logger.info({ password: secret }, 'opening')),
  'pino, as the object': (secret) => logged((logger) => logger.info(secret)),
  'pino, as a message argument': (secret) =>
    logged((logger) => logger.info('%s %o %j', secret, secret, secret)),
  'pino, in an error': (secret) => logged((logger) => logger.error({ err: errorCarrying(secret) }, 'failed')),
}

describe('Secret', () => {
  it('reveals its text on request', () => {
    fc.assert(fc.property(fc.string(), (text) => new Secret(text).reveal() === text))
  })

  it.each(Object.entries(printers))('is not printed by %s', (_name, print) => {
    expect(print(new Secret(TEXT))).not.toContain(TEXT)
  })

  it('prints one placeholder everywhere', () => {
    const secret = new Secret(TEXT)
    expect([String(secret), `${secret}`, inspect(secret)]).toEqual(['[secret]', '[secret]', '[secret]'])
    expect(JSON.stringify({ secret })).toBe('{"secret":"[secret]"}')
  })

  it('prints the same for every text, so that not even its length is revealed', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const secret = new Secret(text)
        return Object.values(printers).every(
          (print) => withoutClock(print(secret)) === withoutClock(print(new Secret('x'))),
        )
      }),
      { numRuns: 20 },
    )
  })
})

/** A log line has its time and an error has columns in its stack. Neither depends on the secret. */
function withoutClock(text: string): string {
  return text.replace(/"time":\d+/g, '').replace(/:\d+:\d+/g, '')
}
