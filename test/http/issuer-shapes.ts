import type { Json } from '../support/key-server.ts'

/** A token in the form of one issuer, the entry of TRUSTED_ISSUERS that accepts it, and the claim that names the tenant. */
export interface IssuerShape {
  /** The name in the table of docs/how-to/use-an-identity-provider.md. Null for a form that no listed provider uses. */
  readonly provider: string | null
  readonly about: string
  readonly header: Json & { readonly kid: string }
  /** The claims without times. */
  readonly claims: Json & { readonly iss: string }
  /** Claims besides `iat` and `exp`. `iat: null` for an issuer that omits it. */
  readonly times?: Readonly<Record<string, number | null>>
  readonly entry: Json & { readonly issuer: string }
  /** The external id of the tenant under this entry. Null if the token has the tenant's code, here `acme-corp`. */
  readonly externalId: string | null
  readonly permissions: readonly string[]
}

const JWT_RS256 = { alg: 'RS256', typ: 'JWT', kid: 'k1' }
const SSO = 'https://sso.example/realms/main'
const FRACTION = 'https://fraction.example'
const COGNITO = 'https://cognito-idp.eu-west-1.example/eu-west-1_AbC'
const OKTA = 'https://acme.okta.example/oauth2/default'
const TID = '11111111-2222-3333-4444-555555555555'
const CLERK_ROLE = ['leases:read']

const KEYCLOAK_ENTRY = {
  ...{ issuer: SSO, audience: 'account', tenantClaim: 'organization', rolesClaim: 'realm_access.roles' },
}
const FRACTION_ENTRY = { issuer: FRACTION, audience: 'freehold' }

export const ISSUER_SHAPES: readonly IssuerShape[] = [
  {
    provider: 'Auth0',
    about: 'an organization, permissions of the API, two audiences',
    header: JWT_RS256,
    claims: {
      ...{ iss: 'https://acme.eu.auth0.example/', sub: 'auth0|64f0c0ffee', azp: 'C1' },
      aud: ['https://api.example.com', 'https://acme.eu.auth0.example/userinfo'],
      ...{ scope: 'openid profile', org_id: 'org_9ybsU1dN2dKfDkBi', permissions: ['properties:read'] },
    },
    entry: {
      ...{ issuer: 'https://acme.eu.auth0.example/', audience: 'https://api.example.com' },
      ...{ tenantClaim: 'org_id', tenantBy: 'externalId', permissionsClaim: 'permissions' },
    },
    externalId: 'org_9ybsU1dN2dKfDkBi',
    permissions: ['properties:read'],
  },
  {
    provider: 'Okta',
    about: 'an authorization server for each customer, groups, a user id beside the name',
    header: { kid: 'k1', alg: 'RS256' },
    claims: {
      ...{
        ver: 1,
        jti: 'AT.x',
        iss: OKTA,
        aud: 'api://default',
        cid: '0oa1',
        uid: '00u1',
        sub: 'ada@acme.example',
      },
      ...{ scp: ['openid', 'profile'], groups: ['Everyone', 'clerk'] },
    },
    times: { auth_time: -10 },
    entry: {
      ...{ issuer: OKTA, audience: 'api://default', tenantClaim: 'iss', tenantBy: 'externalId' },
      ...{ subjectClaim: 'uid', rolesClaim: 'groups' },
    },
    externalId: OKTA,
    permissions: CLERK_ROLE,
  },
  {
    provider: 'Entra ID',
    about: 'one entry for many directories',
    header: { typ: 'JWT', alg: 'RS256', kid: 'k1' },
    claims: {
      ...{ aud: 'api://freehold', iss: `https://login.example/${TID}/v2.0`, tid: TID, oid: 'o1', sub: 's1' },
      ...{ roles: ['clerk'], ver: '2.0' },
    },
    times: { nbf: 0 },
    entry: {
      ...{ issuer: 'https://login.example/{tid}/v2.0', audience: 'api://freehold', tenantClaim: 'tid' },
      ...{ tenantBy: 'externalId', subjectClaim: 'oid', rolesClaim: 'roles' },
    },
    externalId: TID,
    permissions: CLERK_ROLE,
  },
  {
    provider: 'Cognito',
    about: 'an access token: a client and no audience, a pool for each customer',
    header: { kid: 'k1', alg: 'RS256' },
    claims: {
      ...{ sub: '5a2f', 'cognito:groups': ['clerk'], iss: COGNITO, version: 2, event_id: 'e1', jti: 'j1' },
      ...{ client_id: '3n4b5urk1ft4fl3mg5e62d9ado', token_use: 'access', scope: 'openid', username: '5a2f' },
    },
    times: { auth_time: 0 },
    entry: {
      ...{ issuer: COGNITO, audience: '3n4b5urk1ft4fl3mg5e62d9ado', audienceClaim: 'client_id' },
      ...{ tenantClaim: 'iss', tenantBy: 'externalId', rolesClaim: 'cognito:groups' },
    },
    externalId: COGNITO,
    permissions: CLERK_ROLE,
  },
  {
    provider: 'Keycloak',
    about: 'organizations as a list, roles of the realm',
    header: JWT_RS256,
    claims: {
      ...{ jti: 'onrtac:1', iss: SSO, aud: 'account', sub: 'f3', typ: 'Bearer', azp: 'web' },
      ...{ organization: ['acme-corp'], realm_access: { roles: ['clerk'] } },
    },
    entry: KEYCLOAK_ENTRY,
    externalId: null,
    permissions: CLERK_ROLE,
  },
  {
    provider: 'Keycloak',
    about: 'organizations as an object',
    header: JWT_RS256,
    claims: { iss: SSO, aud: 'account', sub: 'f3', organization: { 'acme-corp': { id: '42c3e46f' } } },
    entry: KEYCLOAK_ENTRY,
    externalId: null,
    permissions: [],
  },
  {
    provider: null,
    about: 'Keycloak with roles of a client whose id has dots',
    header: JWT_RS256,
    claims: {
      ...{ iss: 'https://sso.example/realms/apps', aud: 'account', sub: 'f3', organization: ['acme-corp'] },
      resource_access: { account: { roles: ['view'] }, 'app.example.com': { roles: ['clerk'] } },
    },
    entry: {
      ...{ issuer: 'https://sso.example/realms/apps', audience: 'account', tenantClaim: 'organization' },
      rolesClaim: 'resource_access.app.example.com.roles',
    },
    externalId: null,
    permissions: CLERK_ROLE,
  },
  {
    provider: 'Google',
    about: 'an ID token of Workspace: a domain with dots, no roles',
    header: JWT_RS256,
    claims: {
      ...{
        iss: 'https://accounts.google.example',
        azp: '1-a.apps.example',
        aud: '1-a.apps.example',
        sub: '1059',
      },
      ...{ hd: 'eu.acme.example', email: 'ada@eu.acme.example', email_verified: true, at_hash: 'x' },
    },
    entry: {
      ...{ issuer: 'https://accounts.google.example', audience: '1-a.apps.example', tenantClaim: 'hd' },
      tenantBy: 'externalId',
    },
    externalId: 'eu.acme.example',
    permissions: [],
  },
  {
    provider: 'Clerk',
    about: 'a session token: an organization in an object, an authorized party and no audience',
    header: { alg: 'RS256', cat: 'cl_B7d4PD111AAA', kid: 'k1', typ: 'JWT' },
    claims: {
      ...{
        azp: 'https://app.example.com',
        iss: 'https://clerk.example.com',
        jti: 'j',
        sid: 'sess_1',
        sub: 'user_1',
      },
      ...{ v: 2, o: { id: 'org_1', rol: 'clerk', slg: 'acme-corp' } },
    },
    times: { nbf: -10 },
    entry: {
      ...{ issuer: 'https://clerk.example.com', audience: 'https://app.example.com', audienceClaim: 'azp' },
      ...{ tenantClaim: 'o.id', tenantBy: 'externalId', rolesClaim: 'o.rol' },
    },
    externalId: 'org_1',
    permissions: CLERK_ROLE,
  },
  {
    provider: 'Supabase',
    about: 'what only the server writes about a user, and nothing that users write',
    header: { alg: 'ES256', kid: 'k2', typ: 'JWT' },
    claims: {
      ...{
        iss: 'https://abc.supabase.example/auth/v1',
        sub: 'b2f0',
        aud: 'authenticated',
        role: 'authenticated',
      },
      ...{ email: 'ada@acme.example', phone: '', aal: 'aal1', session_id: 's', is_anonymous: false },
      app_metadata: { provider: 'email', providers: ['email'], tenant: 'acme-corp', roles: ['clerk'] },
      user_metadata: { tenant: 'globex', roles: ['admin'] },
      amr: [{ method: 'password', timestamp: 1 }],
    },
    entry: {
      ...{ issuer: 'https://abc.supabase.example/auth/v1', audience: 'authenticated' },
      ...{ tenantClaim: 'app_metadata.tenant', rolesClaim: 'app_metadata.roles' },
    },
    externalId: null,
    permissions: CLERK_ROLE,
  },
  {
    provider: null,
    about: 'fractions, and no iat',
    header: { alg: 'ES256', kid: 'k2' },
    claims: { iss: FRACTION, sub: 's', aud: 'freehold', tenant_id: 'acme-corp' },
    times: { exp: 3600.734, iat: null },
    entry: FRACTION_ENTRY,
    externalId: null,
    permissions: [],
  },
  {
    provider: null,
    about: 'a header parameter that is not understood',
    header: { alg: 'ES256', kid: 'k2', 'x-vendor': '1', x5t: 'AAAA' },
    claims: { iss: FRACTION, sub: 's', aud: 'freehold', tenant_id: 'acme-corp' },
    entry: FRACTION_ENTRY,
    externalId: null,
    permissions: [],
  },
]
