/** What operators look after: tenants, their people, databases and keys, accounts, and the service itself. */
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
import { JOB_OPERATIONS, MIGRATION_OPERATIONS } from './job-operations.ts'
import type { RouteDocument } from './route-document.ts'

const DATABASE: RouteDocument = { codes: ['NOT_FOUND'] }

/** Names that are taken, roles that users have. */
const ROLE: RouteDocument = { codes: ['CONFLICT', ...homeCodes()] }

const TENANTS: Operations = {
  [`GET ${API}/tenants`]: described(
    ['operators: tenants', 'listTenants', 'Tenants'],
    200,
    Answers.pageOf('TenantList', Answers.Tenant),
  ),
  [`POST ${API}/tenants`]: described(
    ['operators: tenants', 'createTenant', 'Make a tenant, its roles and its first administrator'],
    201,
    Answers.Tenant,
    {
      ...MADE,
      codes: ['TENANT_CODE_TAKEN', 'EXTERNAL_ID_TAKEN', 'REFERENCE_NOT_FOUND', 'CONFLICT', ...homeCodes()],
    },
  ),
  [`GET ${API}/tenants/:id`]: described(
    ['operators: tenants', 'findTenant', 'One tenant'],
    200,
    Answers.Tenant,
  ),
  [`PATCH ${API}/tenants/:id`]: described(
    ['operators: tenants', 'updateTenant', 'Rename, suspend, or move a tenant in the hierarchy'],
    200,
    Answers.PatchedTenant,
    { codes: ['REFERENCE_NOT_FOUND', 'EXTERNAL_ID_TAKEN', 'CONFLICT', 'MOVE_IN_PROGRESS'] },
  ),
  [`GET ${API}/tenants/:id/users`]: described(
    ['operators: tenants', 'listTenantUsers', "A tenant's people"],
    200,
    Answers.pageOf('UserList', Answers.User),
    { codes: homeCodes() },
  ),
  [`POST ${API}/tenants/:id/users`]: described(
    ['operators: tenants', 'createTenantUser', 'Add a person to a tenant'],
    201,
    Answers.User,
    NEW_USER,
  ),
  [`GET ${API}/tenants/:id/users/:userId`]: described(
    ['operators: tenants', 'findTenantUser', 'One person of a tenant'],
    200,
    Answers.User,
    { codes: homeCodes() },
  ),
  [`PATCH ${API}/tenants/:id/users/:userId`]: described(
    ['operators: tenants', 'updateTenantUser', 'Change a person of a tenant'],
    200,
    Answers.User,
    CHANGED_USER,
  ),
  [`DELETE ${API}/tenants/:id/users/:userId`]: described(
    ['operators: tenants', 'removeTenantUser', 'Remove a person of a tenant'],
    204,
    NoBody,
    REMOVED_USER,
  ),
  [`GET ${API}/tenants/:id/roles`]: described(
    ['operators: tenants', 'listTenantRoles', "A tenant's roles"],
    200,
    Answers.pageOf('RoleList', Answers.Role),
    { codes: homeCodes() },
  ),
  [`POST ${API}/tenants/:id/roles`]: described(
    ['operators: tenants', 'createTenantRole', 'Give a tenant a role'],
    201,
    Answers.Role,
    { ...MADE, ...ROLE },
  ),
  [`GET ${API}/tenants/:id/roles/:roleId`]: described(
    ['operators: tenants', 'findTenantRole', 'One role of a tenant'],
    200,
    Answers.Role,
    { codes: homeCodes() },
  ),
  [`PATCH ${API}/tenants/:id/roles/:roleId`]: described(
    ['operators: tenants', 'updateTenantRole', 'Change a role of a tenant'],
    200,
    Answers.Role,
    ROLE,
  ),
  [`DELETE ${API}/tenants/:id/roles/:roleId`]: described(
    ['operators: tenants', 'removeTenantRole', 'Remove a role of a tenant that no user has'],
    204,
    NoBody,
    ROLE,
  ),
  [`GET ${API}/tenants/:id/client-keys`]: described(
    ['operators: tenants', 'listTenantClientKeys', "Keys of a tenant's programs"],
    200,
    Answers.pageOf('ClientKeyList', Answers.ClientKey),
  ),
  [`POST ${API}/tenants/:id/client-keys`]: described(
    [
      'operators: tenants',
      'createTenantClientKey',
      'Make a key for a tenant; it is shown in this answer only',
    ],
    201,
    Answers.CreatedClientKey,
    MADE,
  ),
  [`GET ${API}/tenants/:id/client-keys/:keyId`]: described(
    ['operators: tenants', 'findTenantClientKey', "One key of a tenant's program"],
    200,
    Answers.ClientKey,
  ),
  [`DELETE ${API}/tenants/:id/client-keys/:keyId`]: described(
    ['operators: tenants', 'revokeTenantClientKey', "Revoke a key of a tenant's program"],
    204,
    NoBody,
    REVOKING,
  ),
}

const DATABASES: Operations = {
  [`PUT ${API}/tenants/:id/database`]: described(
    [
      'operators: databases',
      'registerDatabase',
      "Register a tenant's own database; it is validated in the background",
    ],
    202,
    Answers.Database,
    { codes: ['CONFLICT', 'MOVE_IN_PROGRESS', 'DATABASE_IN_USE'] },
  ),
  [`GET ${API}/tenants/:id/database`]: described(
    ['operators: databases', 'findDatabase', "A tenant's own database and how it is"],
    200,
    Answers.Database,
    DATABASE,
  ),
  [`DELETE ${API}/tenants/:id/database`]: described(
    ['operators: databases', 'removeDatabase', 'Take a registration away'],
    204,
    NoBody,
    { codes: ['NOT_FOUND', 'DATABASE_IN_USE', 'MOVE_IN_PROGRESS', 'CONFLICT', ...homeCodes()] },
  ),
  [`POST ${API}/tenants/:id/database/validate`]: described(
    ['operators: databases', 'validateDatabase', 'Validate it again'],
    202,
    Answers.Database,
    DATABASE,
  ),
}

const SIGNING_KEYS: Operations = {
  [`GET ${API}/tenants/:id/signing-key`]: described(
    [
      'operators: signing keys',
      'findTenantSigningKey',
      'The key with which a tenant signs; never its secret',
    ],
    200,
    Answers.SigningKey,
    { codes: ['NOT_FOUND'] },
  ),
  [`PUT ${API}/tenants/:id/signing-key`]: described(
    [
      'operators: signing keys',
      'replaceTenantSigningKey',
      'Give a tenant a key of its own; what it had ends now',
    ],
    200,
    Answers.SigningKey,
    REVOKING,
  ),
  [`POST ${API}/tenants/:id/signing-key/rotate`]: described(
    [
      'operators: signing keys',
      'rotateTenantSigningKey',
      'Make the next key; the one before verifies as long as a token may last',
    ],
    200,
    Answers.SigningKey,
    { ...REVOKING, codes: ['NOT_FOUND', 'CONFLICT'] },
  ),
  [`DELETE ${API}/tenants/:id/signing-key`]: described(
    [
      'operators: signing keys',
      'removeTenantSigningKey',
      'End the keys of a tenant; the service signs for it again',
    ],
    204,
    NoBody,
    { ...REVOKING, codes: ['NOT_FOUND'] },
  ),
}

const ACCOUNTS: Operations = {
  [`GET ${API}/accounts`]: described(
    ['operators: accounts', 'listAccounts', 'People who belong to several tenants'],
    200,
    Answers.pageOf('AccountList', Answers.Account),
  ),
  [`POST ${API}/accounts`]: described(
    ['operators: accounts', 'createAccount', 'Make an account, with its first memberships'],
    201,
    Answers.Account,
    { ...MADE, codes: ['REFERENCE_NOT_FOUND', 'CONFLICT'] },
  ),
  [`GET ${API}/accounts/:id`]: described(
    ['operators: accounts', 'findAccount', 'One account'],
    200,
    Answers.Account,
  ),
  [`PATCH ${API}/accounts/:id`]: described(
    ['operators: accounts', 'updateAccount', 'Change an account; what takes something away voids its tokens'],
    200,
    Answers.Account,
    { ...REVOKING, codes: ['CONFLICT'] },
  ),
  [`DELETE ${API}/accounts/:id`]: described(
    ['operators: accounts', 'removeAccount', 'Remove an account, with its memberships and tokens'],
    204,
    NoBody,
    REVOKING,
  ),
  [`PUT ${API}/accounts/:id/memberships/:tenantId`]: described(
    ['operators: accounts', 'setMembership', 'Make an account a member of a tenant, with just these roles'],
    200,
    Answers.Membership,
    { ...REVOKING, codes: ['TENANT_NOT_FOUND', 'CONFLICT'] },
  ),
  [`DELETE ${API}/accounts/:id/memberships/:tenantId`]: described(
    ['operators: accounts', 'removeMembership', 'End a membership; the tokens of the account are void'],
    204,
    NoBody,
    REVOKING,
  ),
}

const OPERATORS: Operations = {
  [`GET ${API}/operators`]: described(
    ['operators', 'listOperators', 'Operators'],
    200,
    Answers.pageOf('OperatorList', Answers.Operator),
  ),
  [`POST ${API}/operators`]: described(
    ['operators', 'createOperator', 'Make an operator; the token is shown in this answer only'],
    201,
    Answers.CreatedOperator,
  ),
  [`DELETE ${API}/operators/:id`]: described(
    ['operators', 'revokeOperator', 'Revoke an operator, at once'],
    204,
    NoBody,
    REVOKING,
  ),
  [`GET ${API}/encryption`]: described(
    ['operators', 'readEncryption', 'Which keys secrets are sealed under, and how the latest rotation goes'],
    200,
    Answers.Encryption,
  ),
  [`POST ${API}/encryption/rotate`]: described(
    ['operators', 'rotateEncryption', 'Seal every secret under the current key, in the background'],
    202,
    Answers.Encryption,
    { codes: ['CONFLICT'] },
  ),
  [`POST ${API}/signing-key/rotate`]: described(
    ['operators', 'rotateSigningKey', 'Make a new key of the service; the one before verifies for a while'],
    200,
    Answers.SigningKey,
    { ...REVOKING, codes: ['CONFLICT'] },
  ),
  [`GET ${API}/audit-log/verify`]: described(
    ['audit', 'verifyAuditLog', 'Prove that the audit log is what was written, and seal it'],
    200,
    Answers.AuditVerdict,
  ),
}

export const OPERATOR_OPERATIONS: Operations = {
  ...TENANTS,
  ...DATABASES,
  ...SIGNING_KEYS,
  ...ACCOUNTS,
  ...OPERATORS,
  ...JOB_OPERATIONS,
  ...MIGRATION_OPERATIONS,
}
