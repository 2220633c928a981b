import {
  type ApiCommand,
  choice,
  command,
  type Flag,
  jsonFile,
  names,
  required,
  text,
  textFile,
} from '../command.ts'

const USERS = '/tenants/{id}/users'
const ROLES = '/tenants/{id}/roles'
const KEYS = '/tenants/{id}/client-keys'
const SIGNING_KEY = '/tenants/{id}/signing-key'
const STATUS = choice('status', ['ACTIVE', 'INACTIVE'], 'INACTIVE ends all sessions')
const PASSWORD = textFile('password-file', 'password', 'file with the password')
const EMAIL = text('email', 'email', 'email address')
const NAME = text('name', 'name', 'name')
const ROLE_NAMES = names('roles', 'roles', 'names of roles, with commas between; they replace those before')
const PERMISSIONS = names('permissions', 'permissions', 'permissions, with commas between')
const DESCRIPTION = text('description', 'description', 'what it is for')
const SECRET = textFile('secret-file', 'secret', 'file with the secret of an HS256 key, as base64')
const PERSON: readonly Flag[] = [
  NAME,
  text('username', 'username', 'another name to log in with'),
  text('tax-number', 'taxNumber', 'tax number'),
  ROLE_NAMES,
]

export const USER_COMMANDS: readonly ApiCommand[] = [
  command('users list', `GET ${USERS}`, [
    'list the users of a tenant',
    { columns: ['email', 'status', 'roles', 'name', 'id'] },
  ]),
  command('users get', `GET ${USERS}/{userId}`, ['show a user']),
  command('users create', `POST ${USERS}`, [
    'create a user',
    { flags: [required(EMAIL), required(PASSWORD), ...PERSON] },
  ]),
  command('users update', `PATCH ${USERS}/{userId}`, [
    'change a user',
    { flags: [EMAIL, PASSWORD, STATUS, ...PERSON] },
  ]),
  command('users remove', `DELETE ${USERS}/{userId}`, [
    'remove a user',
    { question: 'Remove the user {user}?' },
  ]),
]

export const ROLE_COMMANDS: readonly ApiCommand[] = [
  command('roles list', `GET ${ROLES}`, [
    'list the roles of a tenant',
    { columns: ['name', 'permissions', 'description', 'id'] },
  ]),
  command('roles get', `GET ${ROLES}/{roleId}`, ['show a role']),
  command('roles create', `POST ${ROLES}`, [
    'create a role',
    { flags: [required(NAME), required(PERMISSIONS), DESCRIPTION] },
  ]),
  command('roles update', `PATCH ${ROLES}/{roleId}`, [
    'change a role',
    { flags: [NAME, PERMISSIONS, DESCRIPTION] },
  ]),
  command('roles remove', `DELETE ${ROLES}/{roleId}`, [
    'remove a role',
    { question: 'Remove the role {role}?' },
  ]),
]

export const KEY_COMMANDS: readonly ApiCommand[] = [
  command('client-keys list', `GET ${KEYS}`, [
    'list the client keys of a tenant',
    { columns: ['name', 'prefix', 'permissions', 'lastUsedAt', 'expiresAt', 'id'] },
  ]),
  command('client-keys get', `GET ${KEYS}/{keyId}`, ['show a client key']),
  command('client-keys create', `POST ${KEYS}`, [
    'create a client key; it is shown once',
    {
      flags: [required(NAME), required(PERMISSIONS), text('expires-at', 'expiresAt', 'moment, as ISO 8601')],
    },
  ]),
  command('client-keys remove', `DELETE ${KEYS}/{keyId}`, [
    'revoke a client key',
    { question: 'Revoke the client key {key}?' },
  ]),
  command('signing-key get', `GET ${SIGNING_KEY}`, ["show a tenant's signing key"]),
  command('signing-key set', `PUT ${SIGNING_KEY}`, [
    'give a tenant its own signing key; access tokens before it end',
    {
      question: 'End every access token that the tenant {tenant} has now?',
      flags: [required(choice('algorithm', ['HS256', 'ES256', 'EdDSA'], 'how it signs')), SECRET],
    },
  ]),
  command('signing-key rotate', `POST ${SIGNING_KEY}/rotate`, [
    "rotate a tenant's signing key",
    { flags: [SECRET] },
  ]),
  command('signing-key remove', `DELETE ${SIGNING_KEY}`, [
    "remove a tenant's signing keys",
    { question: 'Remove the signing keys of the tenant {tenant}?' },
  ]),
  command('signing-key rotate-service', 'POST /signing-key/rotate', ["rotate the service's signing key"]),
]

export const ACCOUNT_COMMANDS: readonly ApiCommand[] = [
  command('accounts list', 'GET /accounts', [
    'list the accounts',
    {
      columns: ['email', 'status', 'memberships', 'name', 'id'],
      flags: [text('q', 'q', 'only those with this text in address or name')],
    },
  ]),
  command('accounts get', 'GET /accounts/{id}', ['show an account']),
  command('accounts create', 'POST /accounts', [
    'create an account',
    {
      flags: [
        required(EMAIL),
        required(PASSWORD),
        NAME,
        ROLE_NAMES,
        jsonFile('memberships-file', 'memberships', 'file with a JSON list of {tenantId, roles}'),
      ],
    },
  ]),
  command('accounts update', 'PATCH /accounts/{id}', [
    'change an account',
    { flags: [EMAIL, PASSWORD, STATUS, NAME, ROLE_NAMES] },
  ]),
  command('accounts remove', 'DELETE /accounts/{id}', [
    'remove an account',
    { question: 'Remove the account {id}?' },
  ]),
  command('accounts join', 'PUT /accounts/{id}/memberships/{tenantId}', [
    'make an account a member of a tenant',
    { flags: [required(ROLE_NAMES)] },
  ]),
  command('accounts leave', 'DELETE /accounts/{id}/memberships/{tenantId}', [
    'end a membership',
    { question: 'End the membership of {id} in {tenant}?' },
  ]),
]

export const OPERATOR_COMMANDS: readonly ApiCommand[] = [
  command('operators list', 'GET /operators', [
    'list the operators',
    { columns: ['name', 'role', 'prefix', 'createdAt', 'id'] },
  ]),
  command('operators create', 'POST /operators', [
    'create an operator; the token is shown once',
    { flags: [required(NAME), required(choice('role', ['admin', 'viewer'], 'what the operator may do'))] },
  ]),
  command('operators remove', 'DELETE /operators/{id}', [
    'revoke an operator',
    { question: 'Revoke the operator {id}?' },
  ]),
]
