import { describe, expect, test } from 'vitest'
import { parseTrustedIssuers, TrustedIssuersError } from '../../../src/identity/tokens/external-settings.ts'

const GOOD = {
  issuer: 'https://login.example.com/realms/acme',
  jwksUri: 'https://login.example.com/realms/acme/certs',
  audience: 'freehold-api',
}

const MANY = {
  ...GOOD,
  issuer: 'https://login.example/{tid}/v2.0',
  jwksUri: 'https://login.example/common/keys',
}

function faultsOf(value: unknown): readonly string[] {
  try {
    parseTrustedIssuers(typeof value === 'string' ? value : JSON.stringify(value))
  } catch (error) {
    if (error instanceof TrustedIssuersError) return error.faults
    throw error
  }
  return []
}

describe('TRUSTED_ISSUERS', () => {
  test('needs an issuer, a key URL and an audience, and has defaults for the rest', () => {
    expect(parseTrustedIssuers(JSON.stringify(GOOD))).toEqual([
      {
        ...GOOD,
        audience: ['freehold-api'],
        audienceClaim: 'aud',
        algorithms: ['RS256', 'PS256', 'ES256', 'EdDSA'],
        tenantClaims: ['tenant_id'],
        tenantBy: 'code',
        subjectClaim: 'sub',
        permissionsClaim: null,
        rolesClaim: null,
      },
    ])
  })

  test('accepts several issuers, and every field', () => {
    const full = {
      ...GOOD,
      audience: ['a', 'b'],
      audienceClaim: 'client_id',
      tenantBy: 'externalId',
      algorithms: ['ES512'],
      tenantClaim: ['org.id', 'https://example.com/company_id'],
      subjectClaim: 'oid',
      permissionsClaim: 'scope',
      rolesClaim: 'realm_access.roles',
    }
    const [first, second] = parseTrustedIssuers(
      JSON.stringify([{ ...GOOD, issuer: 'http://127.0.0.1:9000' }, full]),
    )
    expect(first?.issuer).toBe('http://127.0.0.1:9000')
    const { tenantClaim, ...rest } = full
    expect(second).toEqual({ ...rest, tenantClaims: tenantClaim })
    expect(Object.isFrozen(second) && Object.isFrozen(second?.audience)).toBe(true)
  })

  test('accepts one entry for many directories, whose id alone names the tenant', () => {
    const [entry] = parseTrustedIssuers(JSON.stringify(MANY))
    expect(entry).toMatchObject({ issuer: MANY.issuer, tenantClaims: ['tid'], tenantBy: 'externalId' })
    const jwksUri = 'https://login.example/{tid}/keys'
    expect(parseTrustedIssuers(JSON.stringify({ ...MANY, jwksUri, tenantClaim: 'tid' }))).toHaveLength(1)
    expect(faultsOf([MANY, { ...GOOD, issuer: 'https://login.example/one/v2.0' }])).toEqual([])
  })

  test('treats the two names of an algorithm as one', () => {
    const [entry] = parseTrustedIssuers(
      JSON.stringify({ ...GOOD, algorithms: ['Ed25519', 'EdDSA', 'ES256'] }),
    )
    expect(entry?.algorithms).toEqual(['EdDSA', 'ES256'])
  })

  test.each<[string, unknown, RegExp]>([
    [
      'a directory in a part of a path',
      { ...MANY, issuer: 'https://a.example/x{tid}' },
      /^\[0\]\.issuer must have/,
    ],
    ['a directory twice', { ...MANY, issuer: 'https://a.example/{tid}/{tid}' }, /^\[0\]\.issuer must have/],
    ['a directory in a query', { ...MANY, issuer: 'https://a.example/?t={tid}' }, /^\[0\]\.issuer must have/],
    ['a directory as a host', { ...MANY, issuer: 'https://{tid}.example/x' }, /^\[0\]\.issuer must/],
    [
      'keys of a directory as a host',
      { ...MANY, jwksUri: 'https://{tid}.example/x' },
      /^\[0\]\.jwksUri must/,
    ],
    [
      'keys of a directory for one issuer',
      { ...GOOD, jwksUri: 'https://a.example/{tid}' },
      /^\[0\]\.jwksUri may/,
    ],
    ['another claim than the directory', { ...MANY, tenantClaim: 'org' }, /^\[0\]\.tenantClaim must be tid/],
    ['codes from strangers', { ...MANY, tenantBy: 'code' }, /^\[0\]\.tenantBy must be externalId/],
    [
      'a way to name tenants that is unknown',
      { ...GOOD, tenantBy: 'id' },
      /^\[0\]\.tenantBy must be code or/,
    ],
    ['an audience claim that is no text', { ...GOOD, audienceClaim: 1 }, /^\[0\]\.audienceClaim/],
    ['an issuer with a space', { ...GOOD, issuer: 'https://a.example/ b' }, /^\[0\]\.issuer must be a URL/],
    [
      'two templates that one issuer fits',
      [
        { ...MANY, issuer: 'https://a.example/{tid}/x' },
        { ...MANY, issuer: 'https://a.example/b/{tid}' },
      ],
      /^has two templates/,
    ],
    ['no JSON', 'https://login.example.com', /^must be a JSON object/],
    ['a text', '"x"', /^must be a JSON object/],
    ['an empty list', [], /^must be a JSON object/],
    ['a list of lists', [[GOOD]], /^must be a JSON object/],
    [
      'a name twice',
      `{"issuer":"https://a.example",${JSON.stringify(GOOD).slice(1)}`,
      /^must be a JSON object/,
    ],
    ['something behind the object', `${JSON.stringify(GOOD)},"more":1`, /^must be a JSON object/],
    ['an unknown field', { ...GOOD, tenant: 'x' }, /^\[0\] has a field/],
    ['no issuer', { ...GOOD, issuer: undefined }, /^\[0\]\.issuer must be a URL/],
    [
      'an issuer without TLS',
      { ...GOOD, issuer: 'http://login.example.com' },
      /^\[0\]\.issuer must be an https/,
    ],
    [
      'keys without TLS',
      { ...GOOD, jwksUri: 'http://login.example.com/k' },
      /^\[0\]\.jwksUri must be an https/,
    ],
    ['keys from a file', { ...GOOD, jwksUri: 'file:///etc/keys' }, /^\[0\]\.jwksUri must be an https/],
    [
      'loopback look-alikes',
      { ...GOOD, jwksUri: 'http://127.0.0.1.example.com/' },
      /^\[0\]\.jwksUri must be/,
    ],
    ['a password', { ...GOOD, jwksUri: 'https://u:p@example.com/' }, /^\[0\]\.jwksUri must have no user/],
    ['no audience', { ...GOOD, audience: undefined }, /^\[0\]\.audience/],
    ['an empty audience', { ...GOOD, audience: [] }, /^\[0\]\.audience/],
    ['a shared secret', { ...GOOD, algorithms: ['HS256'] }, /^\[0\]\.algorithms must be some of/],
    ['no signature', { ...GOOD, algorithms: ['none'] }, /^\[0\]\.algorithms must be some of/],
    ['no algorithms', { ...GOOD, algorithms: [] }, /^\[0\]\.algorithms/],
    ['a claim that is no text', { ...GOOD, tenantClaim: 1 }, /^\[0\]\.tenantClaim/],
    ['an empty claim', { ...GOOD, rolesClaim: '' }, /^\[0\]\.rolesClaim/],
    ['an issuer twice', [GOOD, GOOD], /^names an issuer twice/],
  ])('refuses %s', (_case, value, fault) => {
    const faults = faultsOf(value)
    expect(faults).toHaveLength(1)
    expect(faults[0]).toMatch(fault)
  })

  test('lists every fault at once, and repeats no part of the values', () => {
    const faults = faultsOf([GOOD, { issuer: 'http://secret.example', jwksUri: 'secret', rolesClaim: 7 }])
    expect(faults.map((fault) => fault.split(' ')[0])).toEqual([
      ...['[1].issuer', '[1].jwksUri', '[1].audience', '[1].rolesClaim'],
    ])
    expect(faults.join()).not.toContain('secret')
  })
})
