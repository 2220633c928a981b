import { inspect } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  ConnectionStringError,
  type ConnectionStringReason,
  isIpLiteral,
  parseConnectionString,
} from '../../../src/lib/postgres/connection-string.ts'

function reasonOf(text: string): ConnectionStringReason | 'accepted' {
  try {
    parseConnectionString(text)
    return 'accepted'
  } catch (error) {
    if (!(error instanceof ConnectionStringError)) throw error
    return error.reason
  }
}

function read(text: string) {
  const { password, ...rest } = parseConnectionString(text)
  return { ...rest, password: password.reveal() }
}

const hostOf = (host: string) => parseConnectionString(`postgres://u:p@${host}/d`).host

describe('parseConnectionString accepts', () => {
  it('the full form', () => {
    const text =
      'postgresql://al:s3cret@DB.Example.com:6432/app?sslmode=verify-ca&application_name=my%20app/1'
    expect(read(text)).toEqual({
      host: 'db.example.com',
      port: 6432,
      database: 'app',
      user: 'al',
      password: 's3cret',
      sslMode: 'verify-ca',
      applicationName: 'my app/1',
      connectTimeoutSeconds: null,
      handshake: {},
    })
  })

  it('the short form, with port 5432 and no other assumption', () => {
    expect(read('postgres://u:p@h/d')).toEqual({
      ...{ host: 'h', port: 5432, database: 'd', user: 'u', password: 'p' },
      ...{ sslMode: null, applicationName: null, connectTimeoutSeconds: null, handshake: {} },
    })
  })

  it('percent-encoded and plain UTF-8, and colons in a password', () => {
    expect(read('postgres://u%40x:p%2F%3F%23%5B:%C3%A9é%20+@h/d%2Fe')).toMatchObject({
      ...{ user: 'u@x', password: 'p/?#[:éé +', database: 'd/e' },
    })
  })

  it.each([
    ['127.0.0.1', '127.0.0.1'],
    ['[::1]', '::1'],
    ['[2001:DB8:0:0:0:0:0:1]', '2001:db8::1'],
    ['[::ffff:169.254.169.254]', '::ffff:a9fe:a9fe'],
    ['[::127.0.0.1]', '::7f00:1'],
    ['[64:ff9b::10.0.0.1]', '64:ff9b::a00:1'],
    ['my_db-1.internal', 'my_db-1.internal'],
    ['1.example.com', '1.example.com'],
    ['0x7f.example', '0x7f.example'],
  ])('the host %s as %s', (written, host) => expect(hostOf(written)).toBe(host))

  it.each<[string, object]>([
    ['channel_binding=require', { channelBinding: 'require' }],
    ['channel_binding=prefer', { channelBinding: 'prefer' }],
    ['channel_binding=disable', { channelBinding: 'disable' }],
    ['sslnegotiation=direct', { sslNegotiation: 'direct' }],
    ['sslnegotiation=postgres', { sslNegotiation: 'postgres' }],
    ['target_session_attrs=read-write', { targetSessionAttrs: 'read-write' }],
    ['options=endpoint%3Dep-cool-sun-123456', { endpoint: 'ep-cool-sun-123456' }],
    ['options=endpoint%3dA', { endpoint: 'A' }],
  ])('%s', (parameter, handshake) => {
    expect(parseConnectionString(`postgres://u:p@h/d?${parameter}`).handshake).toEqual(handshake)
  })

  it('connect_timeout, and several parameters in any order', () => {
    const text = 'postgres://u:p@h/d?connect_timeout=60&channel_binding=require&sslmode=require'
    expect(parseConnectionString(text)).toMatchObject({
      ...{ connectTimeoutSeconds: 60, sslMode: 'require', handshake: { channelBinding: 'require' } },
    })
  })

  it.each(['POSTGRES', 'PostgreSQL', 'postgresQL'])('the scheme %s', (scheme) => {
    expect(reasonOf(`${scheme}://u:p@h/d`)).toBe('accepted')
  })

  it.each([' ', '\n', '\r\n', '\t', '\u00a0', '\ufeff'])('white space around it: %j', (space) => {
    expect(read(`${space}postgres://u:p@h/d${space}`)).toMatchObject({ database: 'd' })
  })

  it.each(['disable', 'require', 'verify-ca', 'verify-full'])('sslmode=%s', (mode) => {
    expect(parseConnectionString(`postgres://u:p@h/d?sslmode=${mode}`).sslMode).toBe(mode)
  })

  it('exactly 2048 bytes', () => {
    const text = `postgres://u:${'p'.repeat(2048 - 17)}@h/d`
    expect([text.length, reasonOf(text), reasonOf(`${text}d`)]).toEqual([2048, 'accepted', 'TOO_LONG'])
    expect(reasonOf(`postgres://u:${'é'.repeat(1020)}@h/d`)).toBe('TOO_LONG')
  })
})

describe('parseConnectionString refuses', () => {
  it.each(['n'.repeat(64), 'é'.repeat(32)])('a name that PostgreSQL would truncate: %s', (long) => {
    const fits = long.slice(0, -1)
    expect(reasonOf(`postgres://u:p@h/${encodeURIComponent(fits)}`)).toBe('accepted')
    expect(reasonOf(`postgres://${encodeURIComponent(fits)}:p@h/d`)).toBe('accepted')
    expect(reasonOf(`postgres://u:p@h/${encodeURIComponent(long)}`)).toBe('NAME_TOO_LONG')
    expect(reasonOf(`postgres://${encodeURIComponent(long)}:p@h/d`)).toBe('NAME_TOO_LONG')
  })

  it.each<[string, ConnectionStringReason]>([
    // schemes
    ['', 'SCHEME_INVALID'],
    ['hello', 'SCHEME_INVALID'],
    ['mysql://u:p@h/d', 'SCHEME_INVALID'],
    ['postgresql+asyncpg://u:p@h/d', 'SCHEME_INVALID'],
    ['jdbc:postgresql://h/d', 'JDBC'],
    ['JDBC:postgresql://h:5432/d?user=u&password=p', 'JDBC'],
    ["psql 'postgresql://u:p@h/d'", 'NOT_ALONE'],
    ['DATABASE_URL=postgresql://u:p@h/d', 'NOT_ALONE'],
    ['export DATABASE_URL="postgresql://u:p@h/d"', 'NOT_ALONE'],
    ['"postgresql://u:p@h/d"', 'QUOTED'],
    ["'postgresql://u:p@h/d'", 'QUOTED'],
    ['“postgresql://u:p@h/d”', 'QUOTED'],
    ['postgresql://u:p@h/d"', 'QUOTED'],
    ['postgres:/u:p@h/d', 'SCHEME_INVALID'],
    ['host=h user=u', 'SCHEME_INVALID'],
    ['socket:/var/run?db=d', 'SCHEME_INVALID'],
    ['/var/run d', 'SCHEME_INVALID'],
    ['/var/run', 'SCHEME_INVALID'],
    // Missing parts, which the driver would take from our own environment.
    ['postgres://', 'CREDENTIALS_INVALID'],
    ['postgres://h/d', 'CREDENTIALS_INVALID'],
    ['postgres://u@h/d', 'PASSWORD_MISSING'],
    ['postgres://u:@h/d', 'PASSWORD_MISSING'],
    ['postgres://:p@h/d', 'USER_MISSING'],
    ['postgres://u:p@/d', 'HOST_MISSING'],
    ['postgres://u:p@:5432/d', 'HOST_MISSING'],
    ['postgres://u:p@h', 'DATABASE_MISSING'],
    ['postgres://u:p@h/', 'DATABASE_MISSING'],
    ['postgres://u:p@h?sslmode=require', 'DATABASE_MISSING'],
    // paths and fragments
    ['postgres://u:p@h/d/', 'PATH_INVALID'],
    ['postgres://u:p@h/d/e', 'PATH_INVALID'],
    ['postgres://u:p@h//d', 'PATH_INVALID'],
    ['postgres://u:p@h/d#f', 'FRAGMENT'],
    ['postgres://u:p#@h/d', 'FRAGMENT'],
    // Several hosts, and the ambiguous characters @ / ? \ with which parsers find different hosts.
    ['postgres://u:p@a,b/d', 'HOSTS_SEVERAL'],
    ['postgres://u:p@a:1,b:2/d', 'HOSTS_SEVERAL'],
    ['postgres://u:p@[::1],b/d', 'HOSTS_SEVERAL'],
    ['postgres://u:p@a@b/d', 'CREDENTIALS_INVALID'],
    ['postgres://u:p@a/d@b/d', 'CREDENTIALS_INVALID'],
    ['postgres://u:p@a/d?x&y=1@b/d', 'CREDENTIALS_INVALID'],
    ['postgres://u:p/@b/d', 'CREDENTIALS_INVALID'],
    ['postgres://u:p?@b/d', 'CREDENTIALS_INVALID'],
    ['postgres://u:p\\@b/d', 'RESERVED_CHARACTER'],
    ['postgres://u:p[@b/d', 'RESERVED_CHARACTER'],
    ...['[YOUR-PASSWORD]', '<password>', '$\u007bPASSWORD}', '{password}', '****************', '••••'].map(
      (password): [string, ConnectionStringReason] => [
        `postgres://u:${password}@h/d`,
        'PASSWORD_PLACEHOLDER',
      ],
    ),
    ['postgres://u:p@b\\c/d', 'HOST_INVALID'],
    // sockets
    ['postgres://u:p@%2Fvar%2Frun/d', 'HOST_INVALID'],
    ['postgres://u:p@%2fvar%2frun:5432/d', 'HOST_INVALID'],
    ['postgres://u:p@/d?host=/var/run', 'HOST_MISSING'],
    ['postgres://u:p@h/d?host=/var/run', 'PARAMETER_UNKNOWN'],
    ['postgres://u:p@/var/run/d', 'HOST_MISSING'],
    // encodings and characters
    ['postgres://u:p%@h/d', 'ENCODING_INVALID'],
    ['postgres://u:p%4@h/d', 'ENCODING_INVALID'],
    ['postgres://u:p%zz@h/d', 'ENCODING_INVALID'],
    ['postgres://u:%ff@h/d', 'ENCODING_INVALID'],
    ['postgres://u:%c0%80@h/d', 'ENCODING_INVALID'],
    ['postgres://u:%ed%a0%80@h/d', 'ENCODING_INVALID'],
    ['postgres://u:p%00@h/d', 'CONTROL_ENCODED'],
    ['postgres://u%0a:p@h/d', 'CONTROL_ENCODED'],
    ['postgres://u:p@h/d%1b', 'CONTROL_ENCODED'],
    ['postgres://u:p%7f@h/d', 'CONTROL_ENCODED'],
    ['postgres://u:p%c2%85@h/d', 'CONTROL_ENCODED'],
    ['postgres://u:p%e2%80%a8@h/d', 'CONTROL_ENCODED'],
    ['postgres://u:p@h/d?application_name=a%0d', 'CONTROL_ENCODED'],
    ['postgres://u:p\u0000@h/d', 'CHARACTER_INVALID'],
    ['postgres://u:p\u0085@h/d', 'CHARACTER_INVALID'],
    ['postgres://u:p\ud800@h/d', 'CHARACTER_INVALID'],
    ['postgres://u:p p@h/d', 'CHARACTER_INVALID'],
    ['postgres://u:p\u00a0@h/d', 'CHARACTER_INVALID'],
    // ports
    ['postgres://u:p@h:/d', 'PORT_INVALID'],
    ['postgres://u:p@h:0/d', 'PORT_INVALID'],
    ['postgres://u:p@h:65536/d', 'PORT_INVALID'],
    ['postgres://u:p@h:05432/d', 'PORT_INVALID'],
    ['postgres://u:p@h:+1/d', 'PORT_INVALID'],
    ['postgres://u:p@h:1e3/d', 'PORT_INVALID'],
    ['postgres://u:p@h:1:2/d', 'PORT_INVALID'],
    ['postgres://u:p@[::1]:/d', 'PORT_INVALID'],
    // Parameters that would replace what the code sets.
    ...['sslmode=no-verify', 'sslmode=', 'sslmode', 'sslmode=REQUIRE', 'sslmode=requir%65'].map(
      (query): [string, ConnectionStringReason] => [`postgres://u:p@h/d?${query}`, 'SSLMODE_INVALID'],
    ),
    ...[
      ...[
        '',
        'sslmode=require&',
        '&sslmode=require',
        'host=x',
        'port=1',
        'user=x',
        'password=x',
        'replication=d',
      ],
      ...['statement_timeout=0', 'query_timeout=1', 'pgbouncer=true', 'schema=public', 'supa=base-pooler.x'],
      ...[
        'ssl=0',
        'channelBinding=require',
        'CONNECT_TIMEOUT=1',
        'SSLMODE=require',
        'ssl%6Dode=require',
        'hostaddr=1.2.3.4',
      ],
      ...['__proto__=x', 'constructor=x', 'uselibpqcompat=true', 'dbname=x', 'service=x', 'encoding=x'],
    ].map((query): [string, ConnectionStringReason] => [`postgres://u:p@h/d?${query}`, 'PARAMETER_UNKNOWN']),
    ['postgres://u:p@h/d?sslmode=prefer', 'SSLMODE_FALLS_BACK'],
    ['postgres://u:p@h/d?sslmode=allow', 'SSLMODE_FALLS_BACK'],
    ['postgres://u:p@h/d?sslmode=require&sslrootcert=/etc/passwd', 'CERTIFICATE_FILE'],
    ['postgres://u:p@h/d?sslcert=/x', 'CLIENT_CERTIFICATE'],
    ['postgres://u:p@h/d?sslkey=/x', 'CLIENT_CERTIFICATE'],
    ...['', 'Require', 'require ', 'on', '1'].map((value): [string, ConnectionStringReason] => [
      `postgres://u:p@h/d?channel_binding=${value.replace(' ', '%20')}`,
      'CHANNEL_BINDING_INVALID',
    ]),
    ['postgres://u:p@h/d?sslnegotiation=tls', 'SSLNEGOTIATION_INVALID'],
    ['postgres://u:p@h/d?sslnegotiation', 'SSLNEGOTIATION_INVALID'],
    ...['0', '-1', '61', '1e1', '01', '', '5s', '100'].map((value): [string, ConnectionStringReason] => [
      `postgres://u:p@h/d?connect_timeout=${value}`,
      'CONNECT_TIMEOUT_INVALID',
    ]),
    ...['any', 'primary', 'read-only', 'standby', 'prefer-standby', ''].map(
      (value): [string, ConnectionStringReason] => [
        `postgres://u:p@h/d?target_session_attrs=${value}`,
        'TARGET_SESSION_ATTRS_INVALID',
      ],
    ),
    ...[
      ...['', 'endpoint=ep-a', 'endpoint%3D', 'endpoint%3D-a', 'endpoint%3Dep-a%20-c%20x%3Dy', 'project%3Dp'],
      ...['-csearch_path%3Dx', '-c%20endpoint%3Dep-a', 'endpoint%3Da_b', `endpoint%3D${'a'.repeat(64)}`],
    ].map((value): [string, ConnectionStringReason] => [
      `postgres://u:p@h/d?options=${value}`,
      'OPTIONS_INVALID',
    ]),
    ['postgres://u:p@h/d?sslmode=disable&channel_binding=require', 'TLS_NEEDED'],
    ['postgres://u:p@h/d?sslnegotiation=direct&sslmode=disable', 'TLS_NEEDED'],
    ['postgres://u:p@h/d?sslmode=require&sslmode=require', 'PARAMETER_REPEATED'],
    ['postgres://u:p@h/d?connect_timeout=1&connect_timeout=1', 'PARAMETER_REPEATED'],
    ['postgres://u:p@h/d?options=endpoint%3Da&options=endpoint%3Da', 'PARAMETER_REPEATED'],
    ['postgres://u:p@h/d?application_name=a&application_name=b', 'PARAMETER_REPEATED'],
    ['postgres://u:p@h/d?application_name=', 'APPLICATION_NAME_INVALID'],
    ['postgres://u:p@h/d?application_name', 'APPLICATION_NAME_INVALID'],
    ['postgres://u:p@h/d?application_name=%C3%A9', 'APPLICATION_NAME_INVALID'],
    [`postgres://u:p@h/d?application_name=${'a'.repeat(64)}`, 'APPLICATION_NAME_INVALID'],
    ['postgres://u:p@h/d?application_name=a=b', 'RESERVED_CHARACTER'],
    ['postgres://u:p@h/d?sslmode=require?host=x', 'SSLMODE_INVALID'],
  ])('%j', (text, reason) => expect(reasonOf(text)).toBe(reason))

  it.each([
    ...[
      '2130706433',
      '0x7f000001',
      '0X7F000001',
      '017700000001',
      '127.1',
      '127.0.1',
      '0177.0.0.1',
      '0x7f.0.0.1',
    ],
    ...['127.0.0.01', '127.0.0.256', '1.2.3.4.5', '127.0.0.0x1', '0', '0x', 'db.123', '00.0.0.0'],
  ])('the numeric host %s', (host) => expect(reasonOf(`postgres://u:p@${host}/d`)).toBe('HOST_NUMERIC'))

  it.each([
    ...[
      '[127.0.0.1]',
      '[]',
      '[::1',
      '[::1]x',
      '[[::1]]',
      '[fe80::1%eth0]',
      '[fe80::1%25eth0]',
      '[::1%0]',
      '[:::]',
    ],
    ...[
      '[1::2::3]',
      '[::ffff:0127.0.0.1]',
      '[::ffff:127.1]',
      '[v1.a]',
      '[::1/128]',
      '[12345::]',
      '[::127.0.0.01]',
    ],
    ...[
      'h.',
      '.h',
      'a..b',
      '-a',
      'a-',
      'a.-b',
      'bücher.example',
      'ｌocalhost',
      '１２７.0.0.1',
      'h%65',
      '%31',
      '*',
      '*.a',
    ],
    ...['127.0.0.1.', `${'a'.repeat(64)}.b`, `${'a.'.repeat(126)}ab`, "h'", 'h;x', 'h=x', '$h', 'h!'],
  ])('the host %s', (host) => expect(reasonOf(`postgres://u:p@${host}/d`)).toMatch(/^HOST_/))

  it('an IPv6 address without brackets', () => expect(reasonOf('postgres://u:p@::1/d')).not.toBe('accepted'))

  it.each([
    ['a host of 253', `${'a.'.repeat(126)}b`, 'accepted'],
    ['a host of 254', `${'a.'.repeat(125)}abcd`, 'HOST_INVALID'],
    ['a label of 63', 'a'.repeat(63), 'accepted'],
  ])('or accepts a value at the limit: %s', (_, host, outcome) => {
    expect(reasonOf(`postgres://u:p@${host}/d`)).toBe(outcome)
  })
})

describe('for any text', () => {
  const grams = [
    'postgres://',
    'u',
    ':',
    'p',
    '@',
    'h',
    '/',
    '?',
    '&',
    '=',
    '%',
    '%00',
    '%41',
    '[',
    ']',
    '::1',
  ]
  const noise = fc.array(
    fc.oneof(fc.constantFrom(...grams, 'sslmode', '#', ',', '.', '0x7f'), fc.string({ unit: 'binary' })),
  )

  it('the result is a target or a ConnectionStringError with a fixed text', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          noise,
          noise.map((parts) => ['postgres://u:p@', ...parts]),
        ),
        (parts) => {
          try {
            const { host, port } = parseConnectionString(parts.join(''))
            expect(host).toMatch(/^(?:[a-z0-9._-]+|[0-9a-f:]+)$/)
            expect(port > 0 && port < 65536).toBe(true)
          } catch (error) {
            expect(error).toBeInstanceOf(ConnectionStringError)
            const { reason, message } = error as ConnectionStringError
            const [text, place] = message.split(' (')
            expect(text).toBe(new ConnectionStringError(reason).message)
            expect(place ?? 'in the user)').toMatch(
              /^(?:in the (?:user|password|database name)|[A-Za-z0-9_.-]{1,40})\)$/,
            )
          }
        },
      ),
      { numRuns: 2000 },
    )
  })

  it('neither an error nor the target prints four characters of a password', () => {
    const password = fc.stringMatching(/^[QXZJ]{4,40}$/)
    const ends = [
      '@',
      '#',
      '%',
      '%00',
      '/',
      ' ',
      '@h',
      '@h,i/d',
      '@[/d',
      '@h/d',
      '?',
      '&',
      '/d?',
      '@h/d?x&',
      '=',
    ]
    const broken = fc
      .array(fc.constantFrom(...ends), { minLength: 1, maxLength: 4 })
      .map((some) => some.join(''))
    fc.assert(
      fc.property(password, broken, (secret, end) => {
        // Everything before the last @ may be a password, whatever it contains.
        const printed = printOf(`postgres://u:${secret}${end}${secret}@h/d?x=1`, `postgres://u:${secret}@h/d`)
        for (let at = 0; at + 4 <= secret.length; at++)
          expect(printed).not.toContain(secret.slice(at, at + 4))
      }),
    )
  })

  function printOf(bad: string, good: string): string {
    const target = parseConnectionString(good)
    const printed = `${inspect(target)} ${JSON.stringify(target)} ${target.password}`
    try {
      const { password, user, port, sslMode } = parseConnectionString(bad)
      return printed + inspect({ password, user, port, sslMode })
    } catch (error) {
      return printed + inspect(error) + JSON.stringify(error) + String(error)
    }
  }
})

describe('a target written as text', () => {
  const label = fc.stringMatching(/^[a-z0-9_](?:[a-z0-9_-]{0,20}[a-z0-9_])?$/)
  const name = fc.tuple(fc.array(label, { maxLength: 4 }), fc.stringMatching(/^[a-z][a-z0-9]{0,9}$/))
  const host = fc.oneof(
    name.map(([labels, last]) => [...labels, last].join('.')),
    fc.ipV4(),
    // The URL standard writes IPv6 in the same canonical form, with other code.
    fc.ipV6().map((text) => new URL(`http://[${text}]`).hostname.slice(1, -1)),
  )
  const part = fc
    .string({ minLength: 1, maxLength: 30, unit: 'grapheme' })
    .filter((text) => !/[\p{Cc}\u2028\u2029]/u.test(text))
  const shortPart = part.filter((text) => Buffer.byteLength(text) <= 63)
  const target = fc.record({
    host,
    port: fc.integer({ min: 1, max: 65535 }),
    database: shortPart,
    user: shortPart,
    password: part,
    sslMode: fc.constantFrom(null, 'require', 'verify-ca', 'verify-full'),
    applicationName: fc.option(fc.stringMatching(/^[ -~]{1,63}$/)),
    connectTimeoutSeconds: fc.option(fc.integer({ min: 1, max: 60 })),
    handshake: fc.record(
      {
        channelBinding: fc.constantFrom('disable', 'prefer', 'require'),
        sslNegotiation: fc.constantFrom('postgres', 'direct'),
        targetSessionAttrs: fc.constant('read-write'),
        endpoint: fc.stringMatching(/^[a-z0-9]{1,20}$/),
      },
      { requiredKeys: [] },
    ),
  })
  type Plain = typeof target extends fc.Arbitrary<infer T> ? T : never

  const names = { channelBinding: 'channel_binding', sslNegotiation: 'sslnegotiation' }
  const parameterNames: Record<string, string> = { ...names, targetSessionAttrs: 'target_session_attrs' }

  function format(plain: Plain): string {
    const { host, port, database, user, password, sslMode, applicationName, handshake } = plain
    const { endpoint, ...simple } = handshake
    const encode = encodeURIComponent
    const place = `${host.includes(':') ? `[${host}]` : host}${port === 5432 ? '' : `:${port}`}`
    const parameters = [
      ...(sslMode === null ? [] : [`sslmode=${sslMode}`]),
      ...(applicationName === null ? [] : [`application_name=${encode(applicationName)}`]),
      ...(plain.connectTimeoutSeconds === null ? [] : [`connect_timeout=${plain.connectTimeoutSeconds}`]),
      ...(endpoint === undefined ? [] : [`options=${encode(`endpoint=${endpoint}`)}`]),
      ...Object.entries(simple).map(([key, value]) => `${parameterNames[key]}=${value}`),
    ]
    const query = parameters.length === 0 ? '' : `?${parameters.join('&')}`
    return `postgresql://${encode(user)}:${encode(password)}@${place}/${encode(database)}${query}`
  }

  it('is parsed to the same target', () => {
    fc.assert(
      fc.property(target, (plain) => {
        const text = format(plain)
        fc.pre(text.length <= 2048)
        expect(read(text)).toEqual(plain)
      }),
      { numRuns: 1000 },
    )
  })
})

describe('isIpLiteral', () => {
  it.each(['1.2.3.4', '::1', '2001:db8::1', '::ffff:1.2.3.4'])('%s is a literal', (host) =>
    expect(isIpLiteral(host)).toBe(true),
  )

  it.each(['h', '1.2.3', '01.2.3.4', '0x7f000001', '[::1]', 'fe80::1%eth0', '1.2.3.4/8', ''])(
    '%j is not a literal',
    (host) => expect(isIpLiteral(host)).toBe(false),
  )
})
