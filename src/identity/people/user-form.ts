import { type FieldError, fail } from '../../errors.ts'
import { checkPolicy, type PasswordPolicy } from '../login/passwords.ts'
import { EMAIL_RULE, isEmail, isName, NAME_RULE, typedName } from './names.ts'

export type UserStatus = 'ACTIVE' | 'INACTIVE'

export interface NewUser {
  readonly email: string
  readonly username?: string | null | undefined
  readonly name?: string | null | undefined
  readonly taxNumber?: string | null | undefined
  readonly password: string
  /** Names of the tenant's roles. */
  readonly roles?: readonly string[] | undefined
}

/** A field that is left out stays as it is. */
export type UserPatch = Partial<NewUser> & { readonly status?: UserStatus | undefined }

const MAX_ROLES = 50
const USERNAME = /^[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}$/
const TAX_NUMBER = /^[\p{L}\p{N}](?:[\p{L}\p{N} ./-]{0,48}[\p{L}\p{N}])?$/u

/** The faults of the given parts of a user. Pointers start at the user's own object. */
export function checkUser(input: UserPatch, policy: PasswordPolicy): FieldError[] {
  const faults: FieldError[] = []
  const fault = (pointer: string, message: string) => faults.push({ pointer, message })
  const { email, username, name, taxNumber, roles = [], password } = input
  if (email !== undefined && !isEmail(typedName(email))) fault('/email', EMAIL_RULE)
  if (username != null && !USERNAME.test(username)) {
    fault('/username', 'must have 1 to 100 letters, digits, or . _ @ + -, and begin with a letter or digit')
  }
  if (name != null && !isName(name)) fault('/name', NAME_RULE)
  if (taxNumber != null && !TAX_NUMBER.test(taxNumber)) {
    fault('/taxNumber', 'must have 1 to 50 letters and digits, with spaces, dots, slashes or hyphens between')
  }
  if (roles.length > MAX_ROLES) fault('/roles', `must not have more than ${MAX_ROLES} items`)
  roles.forEach((role, i) => {
    if (!isName(role)) fault(`/roles/${i}`, NAME_RULE)
  })
  const weak = password === undefined ? null : checkPolicy(password, policy)
  return weak ? [...faults, weak] : faults
}

/** @throws PublicError VALIDATION_FAILED */
export function assertUser(input: UserPatch, policy: PasswordPolicy): void {
  const errors = checkUser(input, policy)
  if (errors.length > 0) throw fail('VALIDATION_FAILED', { errors })
}
