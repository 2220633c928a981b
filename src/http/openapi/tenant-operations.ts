/** Signing in, and what a tenant's own people and programs look after. */
import { NoBody } from '../schemas.ts'
import * as Answers from './answer-schemas.ts'
import {
  API,
  CHANGED_USER,
  described,
  homeCodes,
  MADE,
  NEW_USER,
  type Operations,
  REMOVED_USER,
  REVOKING,
} from './described.ts'

/** CONFLICT is for more roles and permissions than a token can carry. */
function signInCodes() {
  return ['TENANT_NOT_FOUND', 'INVALID_CREDENTIALS', 'CONFLICT', ...homeCodes(), 'OUTCOME_UNKNOWN'] as const
}

const AUTH: Operations = {
  [`POST ${API}/auth/login`]: described(
    ['auth', 'login', 'Sign in to a tenant with a password'],
    200,
    Answers.TokenPair,
    { asks: ['tenant-code'], codes: [...signInCodes(), 'TENANT_AMBIGUOUS', 'ACCOUNT_LOCKED'] },
  ),
  [`POST ${API}/auth/refresh`]: described(
    ['auth', 'refresh', 'Change a refresh token for a new pair'],
    200,
    Answers.TokenPair,
    { asks: ['tenant-code'], codes: [...signInCodes(), 'TENANT_AMBIGUOUS', 'REFRESH_TOKEN_REUSED'] },
  ),
  [`POST ${API}/auth/logout`]: described(
    ['auth', 'logout', 'End a sign-in, or all of them: the refresh tokens work no more'],
    204,
    NoBody,
    { ...REVOKING, asks: ['tenant-code'], codes: [...homeCodes(), 'TENANT_AMBIGUOUS', 'OUTCOME_UNKNOWN'] },
  ),
  [`POST ${API}/auth/password`]: described(
    ['auth', 'changePassword', 'Change the own password; ends every session and voids every access token'],
    204,
    NoBody,
    { ...REVOKING, codes: ['ACCOUNT_LOCKED'] },
  ),
  [`POST ${API}/auth/accounts/login`]: described(
    ['auth', 'loginAccount', 'Sign in to an account, for all of its tenants at once'],
    200,
    Answers.AccountToken,
    { codes: ['INVALID_CREDENTIALS', 'ACCOUNT_LOCKED', 'CONFLICT'] },
  ),
  [`GET ${API}/auth/me`]: described(['auth', 'readMe', 'Who calls, and what they may do'], 200, Answers.Me),
}

const TENANT: Operations = {
  [`GET ${API}/tenant`]: described(
    ['tenant', 'readOwnTenant', "The caller's tenant; served while its database is down"],
    200,
    Answers.OwnTenant,
    { headers: ['freehold-degraded'] },
  ),
  [`GET ${API}/users`]: described(
    ['users', 'listUsers', "The tenant's people"],
    200,
    Answers.pageOf('UserList', Answers.User),
  ),
  [`POST ${API}/users`]: described(['users', 'createUser', 'Add a person'], 201, Answers.User, NEW_USER),
  [`GET ${API}/users/:id`]: described(['users', 'findUser', 'One person'], 200, Answers.User),
  [`PATCH ${API}/users/:id`]: described(
    ['users', 'updateUser', 'Change a person; what takes something away voids their access tokens'],
    200,
    Answers.User,
    CHANGED_USER,
  ),
  [`DELETE ${API}/users/:id`]: described(
    ['users', 'removeUser', 'Remove a person, with their sessions and tokens'],
    204,
    NoBody,
    REMOVED_USER,
  ),
  [`GET ${API}/client-keys`]: described(
    ['client-keys', 'listClientKeys', "Keys of the tenant's programs"],
    200,
    Answers.pageOf('ClientKeyList', Answers.ClientKey),
  ),
  [`POST ${API}/client-keys`]: described(
    ['client-keys', 'createClientKey', 'Make a key; it is shown in this answer only'],
    201,
    Answers.CreatedClientKey,
    MADE,
  ),
  [`GET ${API}/client-keys/:id`]: described(
    ['client-keys', 'findClientKey', 'One key'],
    200,
    Answers.ClientKey,
  ),
  [`DELETE ${API}/client-keys/:id`]: described(
    ['client-keys', 'revokeClientKey', 'Revoke a key, at once'],
    204,
    NoBody,
    REVOKING,
  ),
  [`GET ${API}/audit-log`]: described(
    ['audit', 'listAuditLog', 'Who did what; operators see all of it, others what concerns their tenant'],
    200,
    Answers.pageOf('AuditLog', Answers.AuditEntry),
  ),
}

const ROLES: Operations = {
  [`GET ${API}/permissions`]: described(
    ['roles', 'listPermissions', 'The permissions that this application asks for'],
    200,
    Answers.Permissions,
  ),
  [`GET ${API}/roles`]: described(
    ['roles', 'listRoles', 'Roles, and what those who have them may do'],
    200,
    Answers.pageOf('RoleList', Answers.Role),
  ),
  [`POST ${API}/roles`]: described(['roles', 'createRole', 'Make a role'], 201, Answers.Role, {
    ...MADE,
    codes: ['CONFLICT'],
  }),
  [`GET ${API}/roles/:id`]: described(['roles', 'findRole', 'One role'], 200, Answers.Role),
  [`PATCH ${API}/roles/:id`]: described(
    ['roles', 'updateRole', 'Change a role; access tokens of those who lose a permission by it are void'],
    200,
    Answers.Role,
    { ...REVOKING, codes: ['CONFLICT'] },
  ),
  [`DELETE ${API}/roles/:id`]: described(
    ['roles', 'removeRole', 'Remove a role that nobody has'],
    204,
    NoBody,
    { ...REVOKING, codes: ['CONFLICT'] },
  ),
}

export const TENANT_OPERATIONS: Operations = { ...AUTH, ...TENANT, ...ROLES }
