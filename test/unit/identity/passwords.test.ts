import { describe, expect, test } from 'vitest'
import { checkPolicy, PasswordHasher } from '../../../src/identity/login/passwords.ts'

const cheap = { memoryCost: 32, timeCost: 1, parallelism: 1 }

const SALT = 'c2FsdHNhbHQ'
const HASH = Buffer.alloc(32, 7).toString('base64').replaceAll('=', '')
const REAL = `$argon2id$v=19$m=19456,t=2,p=1$${SALT}$${HASH}`

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
  readonly order: string[] = []
  readonly #turns: (() => void)[] = []
  protected override async check(_hash: string, input: Uint8Array): Promise<boolean> {
    this.order.push(Buffer.from(input).toString())
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
  test('is Argon2id with the parameters of OWASP, and matches its own password only', async () => {
    const hasher = new PasswordHasher()
    const hash = await hasher.hash('correct horse battery', 'a')
    expect(hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
    expect(await hasher.verify(hash, 'correct horse battery', 'a')).toBe(true)
    expect(await hasher.verify(hash, 'correct horse batterY', 'a')).toBe(false)
  })

  test('matches composed and decomposed letters alike', async () => {
    const hasher = new PasswordHasher({ cost: cheap })
    expect(
      await hasher.verify(await hasher.hash('caf\u00e9-caf\u00e9', 'a'), 'cafe\u0301-cafe\u0301', 'a'),
    ).toBe(true)
  })

  test('is computed at the same cost if the user does not exist', async () => {
    const hasher = new CountingHasher({ cost: cheap })
    const real = await hasher.hash('correct horse battery', 'a')
    expect(await hasher.verify(null, 'correct horse battery', 'a')).toBe(false)
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

  test('is verified if it costs up to four times ours', async () => {
    const dear = new PasswordHasher({ cost: { memoryCost: 128, timeCost: 4, parallelism: 4 } })
    const hash = await dear.hash('correct horse battery', 'a')
    expect(await new PasswordHasher({ cost: cheap }).verify(hash, 'correct horse battery', 'a')).toBe(true)
  })

  test.each([
    ['dear in memory', `$argon2id$v=19$m=129,t=1,p=1$${SALT}$${HASH}`],
    ['dear in time', `$argon2id$v=19$m=32,t=5,p=1$${SALT}$${HASH}`],
    ['dear in lanes', `$argon2id$v=19$m=128,t=1,p=5$${SALT}$${HASH}`],
    ['meant to stop the process', `$argon2id$v=19$m=1048576,t=20,p=1$${SALT}$${HASH}`],
    ['too cheap for the library', `$argon2id$v=19$m=7,t=1,p=1$${SALT}$${HASH}`],
    ['without a pass', `$argon2id$v=19$m=32,t=0,p=1$${SALT}$${HASH}`],
    ['another algorithm', `$argon2i$v=19$m=32,t=1,p=1$${SALT}$${HASH}`],
    ['another version', `$argon2id$v=16$m=32,t=1,p=1$${SALT}$${HASH}`],
    ['with no salt', `$argon2id$v=19$m=32,t=1,p=1$$${HASH}`],
    ['with a long salt', `$argon2id$v=19$m=32,t=1,p=1$${'A'.repeat(88)}$${HASH}`],
    ['with a short hash', `$argon2id$v=19$m=32,t=1,p=1$${SALT}$aGFzaA`],
    ['with bits left over', `$argon2id$v=19$m=32,t=1,p=1$c2FsdHNhbHR$${HASH}`],
    ['another one behind', `$argon2id$v=19$m=32,t=1,p=1$${SALT}$${HASH}$x`],
    ['garbage', 'garbage'],
    ['nothing', ''],
  ])('%s is not computed: it matches nothing, at the usual cost', async (_what, stored) => {
    const hasher = new CountingHasher({ cost: cheap })
    expect(await hasher.verify(stored, 'correct horse battery', 'a')).toBe(false)
    expect(hasher.checked).toHaveLength(1)
    expect(hasher.checked[0]).toMatch(/^\$argon2id\$v=19\$m=32,t=1,p=1\$/)
    expect(hasher.checked[0]).not.toBe(stored)
  })

  test('is refused for more than 1024 bytes', async () => {
    const hasher = new PasswordHasher({ cost: cheap })
    await expect(hasher.hash('é'.repeat(513), 'a')).rejects.toThrow(RangeError)
    await expect(hasher.hash('é'.repeat(512), 'a')).resolves.toBeTypeOf('string')
  })
})

describe('a flood of logins', () => {
  test('computes two hashes at once, queues some, and gets RATE_LIMITED beyond', async () => {
    const hasher = new StuckHasher({ concurrency: 2, maxWaiting: 3 })
    const accepted = Array.from({ length: 5 }, () => hasher.verify(REAL, 'y', 'a'))
    await expect(hasher.verify(REAL, 'y', 'a')).rejects.toMatchObject({
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

  test('at one tenant fills only its share of the queue, and the shares take turns', async () => {
    const hasher = new StuckHasher({ concurrency: 1 })
    const of = (share: string, name: string) => hasher.verify(REAL, name, share)
    const ours = Array.from({ length: 17 }, (_, n) => of('a', `a${n}`))
    await expect(of('a', 'late')).rejects.toMatchObject({ code: 'RATE_LIMITED' })
    await expect(hasher.hash('late', 'a')).rejects.toMatchObject({ code: 'RATE_LIMITED' })
    const theirs = [of('b', 'b0'), of('b', 'b1'), of('c', 'c0')]
    for (let i = 0; i < 20; i += 1) {
      await new Promise(setImmediate)
      hasher.finishOne()
    }
    await Promise.all([...ours, ...theirs])
    expect(hasher.order.slice(0, 7)).toEqual(['a0', 'a1', 'b0', 'c0', 'a2', 'b1', 'a3'])
    const again = of('a', 'again')
    await new Promise(setImmediate)
    hasher.finishOne()
    expect(await again).toBe(true)
  })

  test('continues after a failed hash', async () => {
    class FailingHasher extends PasswordHasher {
      protected override check(hash: string, input: Uint8Array): Promise<boolean> {
        return Buffer.from(input).toString() === 'x'
          ? Promise.reject(new Error('x'))
          : super.check(hash, input)
      }
    }
    const hasher = new FailingHasher({ concurrency: 1, cost: cheap })
    const hash = await hasher.hash('right', 'a')
    const both = [hasher.verify(hash, 'x', 'a'), hasher.verify(hash, 'right', 'a')]
    const results = await Promise.allSettled(both)
    expect(results.map((result) => result.status)).toEqual(['rejected', 'fulfilled'])
    expect(await hasher.verify(hash, 'right', 'a')).toBe(true)
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
  ])('accepts %j', (password, rules) => {
    expect(checkPolicy(password, rules)).toBeNull()
  })

  test('does not repeat the password', () => {
    expect(JSON.stringify(checkPolicy('hunter2', policy))).not.toContain('hunter2')
  })
})
