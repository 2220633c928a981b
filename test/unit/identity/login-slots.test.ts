import { describe, expect, test } from 'vitest'
import { LoginSlots } from '../../../src/identity/login/login-slots.ts'

const FULL = { code: 'RATE_LIMITED', retryAfterSeconds: 1 }

function stuck(turns: LoginSlots, tenantId: string) {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  return {
    running: turns.run(tenantId, () => promise),
    finish: () => resolve('done'),
    break: () => reject(new Error('x')),
  }
}

describe('concurrent logins', () => {
  test('are limited for a tenant, and leave room for other tenants', async () => {
    const turns = new LoginSlots({ max: 4, maxOfTenant: 2 })
    const ours = [stuck(turns, 'a'), stuck(turns, 'a')]
    await expect(turns.run('a', async () => 'no')).rejects.toMatchObject(FULL)
    await expect(turns.run('b', async () => 'yes')).resolves.toBe('yes')
    ours[0]?.finish()
    await expect(ours[0]?.running).resolves.toBe('done')
    await expect(turns.run('a', async () => 'again')).resolves.toBe('again')
  })

  test('are sixteen for a tenant by default: only eight tenants that hang fill all', async () => {
    const turns = new LoginSlots()
    const fill = (tenantId: string) => Array.from({ length: 16 }, () => stuck(turns, tenantId))
    const all = Array.from({ length: 7 }, (_, n) => fill(`t${n}`)).flat()
    await expect(turns.run('t0', async () => 'no')).rejects.toMatchObject(FULL)
    await expect(turns.run('other', async () => 'yes')).resolves.toBe('yes')
    all.push(...fill('t7'))
    await expect(turns.run('other', async () => 'no')).rejects.toMatchObject(FULL)
    for (const one of all) one.finish()
    await Promise.all(all.map(({ running }) => running))
  })

  test('are limited over all tenants', async () => {
    const turns = new LoginSlots({ max: 3, maxOfTenant: 2 })
    const all = ['a', 'a', 'b'].map((tenantId) => stuck(turns, tenantId))
    let ran = false
    const late = turns.run('c', async () => {
      ran = true
    })
    await expect(late).rejects.toMatchObject(FULL)
    expect(ran).toBe(false)
    for (const one of all) one.finish()
    await Promise.all(all.map(({ running }) => running))
    await expect(turns.run('c', async () => 'yes')).resolves.toBe('yes')
  })

  test('release their slot also when they fail', async () => {
    const turns = new LoginSlots({ max: 1 })
    for (let n = 0; n < 3; n++) {
      const one = stuck(turns, 'a')
      one.break()
      await expect(one.running).rejects.toThrow('x')
    }
    await expect(turns.run('a', async () => 'yes')).resolves.toBe('yes')
  })
})
