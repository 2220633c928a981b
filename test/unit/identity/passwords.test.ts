import { describe, expect, test } from 'vitest'
import { checkPolicy, PasswordHasher } from '../../../src/identity/passwords.ts'

const cheap = { memoryCost: 32, timeCost: 1, parallelism: 1 }

class CountingHasher extends PasswordHasher {
  readonly checked: string[] = []
  protected override check(hash: string, input: Uint8Array): Promise<boolean> {
    this.checked.push(hash)
    return super.check(hash, input)
  }
}

class StuckHasher extends PasswordHasher {
  running = 0
  most = 0
  readonly #turns: (() => void)[] = []
  protected override async check(): Promise<boolean> {
    this.running += 1
    this.most = Math.max(this.most, this.running)
    await new Promise<void>((resolve) => this.#turns.push(resolve))
    this.running -= 1
    return true
  }
  finishOne(): void {
    this.#turns.shift()?.()
  }
}

describe('a password hash', () => {
  test('is Argon2id with the parameters of OWASP, and fits its password only', async () => {
    const hasher = new PasswordHasher()
    const hash = await hasher.hash('correct horse battery')
    expect(hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
    expect(await hasher.verify(hash, 'correct horse battery')).toBe(true)
    expect(await hasher.verify(hash, 'correct horse batterY')).toBe(false)
  })

  test('fits however the keyboard composed the letters', async () => {
    const hasher = new PasswordHasher({ cost: cheap })
    expect(await hasher.verify(await hasher.hash('caf\u00e9-caf\u00e9'), 'cafe\u0301-cafe\u0301')).toBe(true)
  })

  test('is computed at the same cost where there is none to compare with', async () => {
    const hasher = new CountingHasher({ cost: cheap })
    const real = await hasher.hash('correct horse battery')
    expect(await hasher.verify(null, 'correct horse battery')).toBe(false)
    expect(hasher.checked).toHaveLength(1)
    const costOf = (hash: string | undefined) => hash?.split('$').slice(0, 4)
    expect(costOf(hasher.checked[0])).toEqual(costOf(real))
    expect(hasher.checked[0]).toHaveLength(real.length)
  })

  test.each([
    ['$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA', false],
    ['$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaA', false],
    ['$argon2id$v=19$m=65536,t=1,p=1$c2FsdHNhbHQ$aGFzaA', false],
    ['$argon2id$v=19$m=19456,t=1,p=1$c2FsdHNhbHQ$aGFzaA', true],
    ['$argon2id$v=19$m=8192,t=8,p=1$c2FsdHNhbHQ$aGFzaA', true],
    ['$argon2i$v=19$m=65536,t=3,p=1$c2FsdHNhbHQ$aGFzaA', true],
    ['$argon2id$v=16$m=65536,t=3,p=1$c2FsdHNhbHQ$aGFzaA', true],
    ['$2b$12$abcdefghijklmnopqrstuv', true],
  ])('%s is weaker than ours: %s', (stored, isWeak) => {
    expect(new PasswordHasher().isWeak(stored)).toBe(isWeak)
  })

  test('is not made of more than 1024 bytes', async () => {
    const hasher = new PasswordHasher({ cost: cheap })
    await expect(hasher.hash('é'.repeat(513))).rejects.toThrow(RangeError)
    await expect(hasher.hash('é'.repeat(512))).resolves.toBeTypeOf('string')
  })
})

describe('a flood of logins', () => {
  test('has two hashes at once, a bounded queue, and RATE_LIMITED behind it', async () => {
    const hasher = new StuckHasher({ concurrency: 2, maxWaiting: 3 })
    const accepted = Array.from({ length: 5 }, () => hasher.verify('x', 'y'))
    await expect(hasher.verify('x', 'y')).rejects.toMatchObject({
      code: 'RATE_LIMITED',
      retryAfterSeconds: 1,
    })
    for (let i = 0; i < 5; i += 1) {
      await new Promise(setImmediate)
      expect(hasher.running).toBeLessThanOrEqual(2)
      hasher.finishOne()
    }
    expect(await Promise.all(accepted)).toEqual([true, true, true, true, true])
    expect(hasher.most).toBe(2)
  })

  test('gives its turn on also after a failure', async () => {
    const hasher = new PasswordHasher({ concurrency: 1, cost: cheap })
    const hash = await hasher.hash('right')
    const results = await Promise.allSettled([hasher.verify('no hash', 'x'), hasher.verify(hash, 'right')])
    expect(results.map((result) => result.status)).toEqual(['rejected', 'fulfilled'])
    expect(await hasher.verify(hash, 'right')).toBe(true)
  })
})

describe('the password policy', () => {
  const policy = { minLength: 12, requireMixed: false }
  test.each([
    ['elevenchars', policy],
    ['😀😀😀😀😀😀', policy],
    ['x'.repeat(1025), policy],
    ['all lower case 1', { ...policy, requireMixed: true }],
    ['NO LOWER CASE 11', { ...policy, requireMixed: true }],
    ['No digit at all', { ...policy, requireMixed: true }],
  ])('refuses %j', (password, rules) => {
    expect(checkPolicy(password, rules)).toMatchObject({ pointer: '/password' })
  })

  test.each([
    ['twelve chars', policy],
    ['Mixed letters 1', { ...policy, requireMixed: true }],
    ['Große Äpfel 12\n', { ...policy, requireMixed: true }],
  ])('takes %j', (password, rules) => {
    expect(checkPolicy(password, rules)).toBeNull()
  })

  test('does not repeat the password', () => {
    expect(JSON.stringify(checkPolicy('hunter2', policy))).not.toContain('hunter2')
  })
})
