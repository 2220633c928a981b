import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import {
  EgressError,
  EgressPolicy,
  HostRuleError,
  type Lookup,
  parseHostRules,
  resolveTarget,
} from '../../../src/lib/postgres/egress.ts'

const open = new EgressPolicy(null)
const listing = (text: string) => new EgressPolicy(parseHostRules(text))
const everything = listing('0.0.0.0/0,::/0,example.com,.example.com')

const loopback = ['127.0.0.1', '127.255.255.254', '::1', '::ffff:127.0.0.1', '::ffff:7f00:1']
const forbidden = [
  ...['0.0.0.0', '0.1.2.3', '::', '::ffff:0.0.0.0'],
  ...['169.254.169.254', '169.254.0.1', 'fe80::1', 'febf::1', '::ffff:169.254.169.254', '::ffff:a9fe:a9fe'],
  ...['224.0.0.1', '239.255.255.255', 'ff02::1', '255.255.255.255', '::ffff:224.0.0.1'],
  // metadata outside link-local
  ...['100.100.100.200', '168.63.129.16', '192.0.0.192', '::ffff:100.100.100.200'],
  ...['fd00:ec2::254', 'fd00:ec2::23', 'fd20:ce::254', 'fd00:c1::a9fe:a9fe', 'fd00:42::42'],
  // The same inside addresses of translators and tunnels: compatible, SIIT, NAT64, 6to4, Teredo (server, client), ISATAP.
  ...['::169.254.169.254', '::127.0.0.1', '::ffff:0:169.254.169.254', '::ffff:0:127.0.0.1'],
  ...[
    '64:ff9b::169.254.169.254',
    '64:ff9b::7f00:1',
    '64:ff9b::',
    '64:ff9b:1::a00:1',
    '64:ff9b:1:a9fe:a9:fe00::',
  ],
  ...['2002:a9fe:a9fe::1', '2002:7f00:1::', '2001:0:a9fe:a9fe::1', '2001:0:808:808::5601:5601'],
  ...['2600::5efe:a9fe:a9fe', '2600::200:5efe:7f00:1'],
]
const special = [
  ...['192.0.0.1', '192.88.99.1', '240.0.0.1', '::ffff:240.0.0.1', '64:ff9b::240.0.0.1'],
  ...[
    '100::1',
    'fec0::1',
    '5f00::1',
    '2001:2::1',
    '2001:20::1',
    '::8.8.8.8',
    '::ffff:0:8.8.8.8',
    '2002:808:808::1',
  ],
  '2001:0:808:808::f7f7:f7f7',
]
const ordinary = [
  ...['8.8.8.8', '10.0.0.5', '172.16.0.1', '192.168.1.1', '100.64.0.1', '100.100.100.201', '203.0.113.10'],
  ...['198.18.0.1', '2600::1', 'fd12:3456::1', '2001:db8::1', '::ffff:10.0.0.5', '64:ff9b::8.8.8.8'],
  '64:ff9b::10.0.0.5',
]

describe('without rules', () => {
  it.each(ordinary)('%s is allowed', (host) => expect(open.checkLiteral(host, 5432)).toBe('allowed'))

  it.each([...loopback, ...forbidden, ...special])('%s is refused, as literal and when resolved', (host) => {
    expect(open.checkLiteral(host, 5432)).toBe('refused')
    expect(open.checkResolved('db.example.com', [host], 5432)).toEqual([])
  })
})

describe('texts that only a resolver reads as an address', () => {
  it.each([
    ...['2130706433', '0x7f000001', '0X7F.1', '017700000001', '127.1', '0177.0.0.1', '127.0.0.01', '0'],
    ...['fe80::1%eth0', '[::1]', '127.0.0.1.', '::ffff:0177.0.0.1', '169.254.43518', '10.0.0.5/8', ''],
  ])('%j is refused', (host) => {
    for (const policy of [open, everything]) {
      expect(policy.checkLiteral(host, 5432)).toBe('refused')
      expect(policy.checkResolved('db.example.com', [host], 5432)).toEqual([])
    }
  })

  it('names are not mistaken for addresses', () => {
    expect(['localhost', 'db.example.com', 'DB_1'].map((host) => open.checkLiteral(host, 1))).toEqual(
      Array(3).fill('name'),
    )
  })
})

describe('with rules', () => {
  it.each(forbidden)('%s stays refused even if it is listed', (host) => {
    for (const policy of [everything, listing(host)]) {
      expect(policy.checkLiteral(host, 5432)).toBe('refused')
      expect(policy.checkResolved('example.com', [host], 5432)).toEqual([])
    }
  })

  it.each(special)('%s must be listed by address', (host) => {
    expect(listing('example.com').checkResolved('example.com', [host], 5432)).toEqual([])
    expect(everything.checkLiteral(host, 5432)).toBe('allowed')
  })

  it.each(loopback)('%s is not allowed by a name, the whole address range or another address', (host) => {
    const policy = listing('localhost,.example.com,0.0.0.0/0,::/0,126.0.0.0/7,::/127,10.0.0.0/8')
    expect(policy.checkLiteral(host, 5432)).toBe('refused')
    expect(policy.checkResolved('localhost', [host], 5432)).toEqual([])
    expect(policy.checkResolved('a.example.com', [host], 5432)).toEqual([])
  })

  it.each([
    '127.0.0.1',
    '127.0.0.0/8',
    '127.0.0.1/32',
    '127.0.0.1:5432',
    '::ffff:127.0.0.1',
    '[::ffff:127.0.0.0/104]',
  ])('loopback is allowed if it is listed as %s', (rule) => {
    const policy = listing(rule)
    expect(policy.checkLiteral('127.0.0.1', 5432)).toBe('allowed')
    expect(policy.checkLiteral('::ffff:127.0.0.1', 5432)).toBe('allowed')
    expect(policy.checkLiteral('::1', 5432)).toBe('refused')
    expect(policy.checkResolved('localhost', ['::1', '127.0.0.1'], 5432)).toEqual(['127.0.0.1'])
  })

  it('::1 is allowed if it is listed, and a translated 127.0.0.1 is not', () => {
    expect(listing('[::1]:5432').checkResolved('localhost', ['127.0.0.1', '::1'], 5432)).toEqual(['::1'])
    expect(listing('127.0.0.1').checkLiteral('64:ff9b::127.0.0.1', 5432)).toBe('refused')
  })

  it.each<[rules: string, name: string, address: string, port: number, allowed: boolean]>([
    ['db.example.com', 'db.example.com', '10.0.0.5', 5432, true],
    ['DB.example.com', 'db.EXAMPLE.com', '10.0.0.5', 5432, true],
    ['db.example.com', 'x.db.example.com', '10.0.0.5', 5432, false],
    ['db.example.com:5432', 'db.example.com', '10.0.0.5', 5432, true],
    ['db.example.com:5432', 'db.example.com', '10.0.0.5', 5433, false],
    ['.rds.example.com', 'a.rds.example.com', '8.8.8.8', 5432, true],
    ['.rds.example.com', 'a.b.rds.example.com', '8.8.8.8', 5432, true],
    ['.rds.example.com', 'rds.example.com', '8.8.8.8', 5432, false],
    ['.rds.example.com', 'evilrds.example.com', '8.8.8.8', 5432, false],
    ['.rds.example.com', 'a.rds.example.com.evil.net', '8.8.8.8', 5432, false],
    ['.rds.example.com:1', 'a.rds.example.com', '8.8.8.8', 5432, false],
    ['10.0.0.0/8', 'anything.net', '10.200.0.5', 5432, true],
    ['10.0.0.0/8', 'anything.net', '11.0.0.5', 5432, false],
    ['10.0.0.0/8:5432', 'anything.net', '10.0.0.5', 5433, false],
    ['[2600:db8::/32]:5432', 'anything.net', '2600:db8:1::1', 5432, true],
    ['[2600:db8::/32]:5432', 'anything.net', '2600:db8:1::1', 5433, false],
    ['2600:db8::/32', 'anything.net', '2600:db9::1', 5432, false],
    ['[2600::1]', 'anything.net', '2600::1', 1, true],
    ['10.0.0.5', 'anything.net', '64:ff9b::10.0.0.5', 5432, true],
    ['10.0.0.5', 'anything.net', '2002:a00:5::1', 5432, false],
    ['8.8.8.8', 'example.com', '8.8.4.4', 5432, false],
  ])('%s: %s at %s port %i is allowed: %j', (...row) => {
    const [rules, name, address, port, allowed] = row
    expect(listing(rules).checkResolved(name, [address], port)).toHaveLength(allowed ? 1 : 0)
  })

  it('a literal is checked by address rules only', () => {
    const policy = listing('db.example.com,10.0.0.0/8:5432')
    expect(['10.0.0.5', '::ffff:10.0.0.5', '8.8.8.8'].map((host) => policy.checkLiteral(host, 5432))).toEqual(
      ['allowed', 'allowed', 'refused'],
    )
    expect(policy.checkLiteral('10.0.0.5', 5433)).toBe('refused')
  })
})

describe('parseHostRules', () => {
  it('names exactly the wrong entries', () => {
    const wrong = [
      ...[
        '',
        '.',
        '*.example.com',
        'a..b',
        'h:0',
        'h:65536',
        'h:',
        'h:x',
        '10.0.0.0/33',
        '10.0.0.0/08',
        '10.0.0/8',
      ],
      ...[
        '0x7f000001',
        '127.1',
        '[::1',
        '[::1]x',
        '[::1]:0',
        '[10.0.0.1]:5',
        '::/129',
        'fe80::1%eth0',
        'http://h',
        'h/8',
      ],
    ]
    const right = ['a_b.example.com', '.x.net:6432', '10.0.0.0/0', '[::]:5432', '::1', '1.2.3.4:1']
    const error = catchError(() => parseHostRules([...wrong, ...right].join(' , ')))
    expect(error).toBeInstanceOf(HostRuleError)
    expect((error as HostRuleError).entries).toEqual(wrong)
  })

  it('returns rules or a HostRuleError for any text', () => {
    const grams = fc.constantFrom('[', ']', ':', '/', '.', ',', '8', '::1', '10.0.0.0', 'a', '5432', '%', ' ')
    fc.assert(
      fc.property(fc.array(fc.oneof(grams, fc.string())), (parts) => {
        const error = catchError(() => parseHostRules(parts.join('')))
        expect(error === null || error instanceof HostRuleError).toBe(true)
      }),
    )
  })
})

describe('with any rules', () => {
  it('no loopback, link-local or multicast address of IPv4 is reached inside an IPv6 address', () => {
    const first = fc.constantFrom([127, 0], [169, 254], [224, 0], [0, 0])
    const hex = (a: number, b: number) => ((a << 8) | b).toString(16)
    fc.assert(
      fc.property(first, fc.nat(255), fc.integer({ min: 2, max: 255 }), ([a = 0, b = 0], c, d) => {
        const dotted = `${a}.${b}.${c}.${d}`
        const pair = `${hex(a, b)}:${hex(c, d)}`
        const spellings = ['::ffff:', '::', '::ffff:0:', '64:ff9b::', '2600::5efe:'].map((at) => at + dotted)
        for (const host of [dotted, ...spellings, `2002:${pair}::1`, `2001:0:${pair}::1`]) {
          expect(open.checkLiteral(host, 5432)).toBe('refused')
          expect(everything.checkLiteral(host, 5432)).toBe('refused')
        }
      }),
    )
  })
})

describe('resolveTarget', () => {
  const found =
    (...addresses: string[]): Lookup =>
    async () =>
      addresses.map((address) => ({ address }))
  const target = { host: 'db.example.com', port: 5432 }
  const codeOf = (run: Promise<unknown>) =>
    run.then(
      () => 'resolved',
      (error: EgressError) => error.code,
    )

  it('checks a literal without a look-up and returns mapped ones as IPv4', async () => {
    const lookup = vi.fn<Lookup>()
    const resolve = (host: string) => resolveTarget({ host, port: 5432 }, open, { lookup, timeoutMs: 1000 })
    expect(await resolve('10.0.0.5')).toEqual({ address: '10.0.0.5', family: 4 })
    expect(await resolve('::ffff:a00:5')).toEqual({ address: '10.0.0.5', family: 4 })
    expect(await resolve('2600::1')).toEqual({ address: '2600::1', family: 6 })
    expect(await codeOf(resolve('127.0.0.1'))).toBe('HOST_NOT_ALLOWED')
    expect(await codeOf(resolve('2130706433'))).toBe('HOST_NOT_ALLOWED')
    expect(lookup).not.toHaveBeenCalled()
  })

  it('looks a name up once and pins the first allowed address', async () => {
    const lookup = vi.fn(found('169.254.169.254', '127.0.0.1', '2600::1', '10.0.0.5'))
    expect(await resolveTarget(target, open, { lookup, timeoutMs: 1000 })).toEqual({
      address: '2600::1',
      family: 6,
    })
    expect(lookup.mock.calls).toEqual([['db.example.com', { all: true, order: 'verbatim' }]])
  })

  it('refuses a name with no allowed address', async () => {
    const options = { lookup: found('127.0.0.1', 'fe80::1%eth0'), timeoutMs: 1000 }
    expect(await codeOf(resolveTarget(target, open, options))).toBe('HOST_NOT_ALLOWED')
  })

  it('reports failed look-ups without the host', async () => {
    const lookup: Lookup = async (name) => Promise.reject(new Error(`getaddrinfo ENOTFOUND ${name}`))
    const error = await resolveTarget(target, open, { lookup, timeoutMs: 1000 }).catch((caught) => caught)
    expect(error).toBeInstanceOf(EgressError)
    expect(error.code).toBe('DNS_FAILED')
    expect(`${error.stack}${error.cause}`).not.toContain('example')
    expect(await codeOf(resolveTarget(target, open, { lookup: found(), timeoutMs: 1000 }))).toBe('DNS_FAILED')
  })

  it('gives up after the timeout, and a later failure does no harm', async () => {
    const { promise, reject } = Promise.withResolvers<never>()
    expect(await codeOf(resolveTarget(target, open, { lookup: () => promise, timeoutMs: 10 }))).toBe(
      'CONNECTION_TIMEOUT',
    )
    reject(new Error('late'))
    await new Promise((resolve) => setImmediate(resolve))
  })

  it('works with the system resolver: localhost is reached only if it is listed by address', async () => {
    const localhost = { host: 'localhost', port: 5432 }
    expect(await codeOf(resolveTarget(localhost, open, { timeoutMs: 5000 }))).toBe('HOST_NOT_ALLOWED')
    const named = resolveTarget(localhost, listing('localhost'), { timeoutMs: 5000 })
    expect(await codeOf(named)).toBe('HOST_NOT_ALLOWED')
    const listed = await resolveTarget(localhost, listing('127.0.0.1,::1'), { timeoutMs: 5000 })
    expect(['127.0.0.1', '::1']).toContain(listed.address)
  })
})

function catchError(run: () => unknown): unknown {
  try {
    run()
    return null
  } catch (error) {
    return error
  }
}
