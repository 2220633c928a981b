import { TENANT_CODE } from '../../catalog/tenant-code.ts'
import { isUuid } from '../../lib/ids.ts'
import { CommandError, EXIT, usageError } from '../exit-codes.ts'
import type { ApiClient, ApiRequest } from './client.ts'
import { type ApiCommand, type Flag, namesTenant, parametersOf } from './command.ts'
import { jsonOfFile, textOfFile } from './given-files.ts'

/** What stands on the command line: arguments in their order, flags by name. */
export interface Given {
  readonly args: readonly string[]
  readonly flags: Readonly<Record<string, unknown>>
}

/** Rows that the API gives at once. */
export const MOST_PER_PAGE = 200

/** The request of a command. Reads the files that flags name, and asks the gateway for the ids of tenants that are named by code. */
export async function requestOf(command: ApiCommand, given: Given, client: ApiClient): Promise<ApiRequest> {
  const { method, prefix, argument, fixed = {} } = command
  const names = parametersOf(command)
  let path = command.path
  for (const [at, name] of names.entries()) {
    const value = given.args[at] ?? ''
    const id = namesTenant(command, name) ? await tenantIdOf(value, client) : value
    path = path.replace(`{${name}}`, encodeURIComponent(id))
  }
  const fields: Record<string, unknown> = { ...fixed }
  if (argument !== undefined) put(fields, argument.field, given.args[names.length])
  for (const flag of command.flags) {
    const value = given.flags[flag.name]
    if (value !== undefined) put(fields, flag.field, await sentFor(flag, value as string, client))
  }
  const isQuery = method === 'GET' || method === 'DELETE'
  const query = Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, String(value)]))
  const hasBody = !isQuery && (Object.keys(fields).length > 0 || method !== 'POST')
  return { method, path: `${prefix}${path}`, ...(isQuery && { query }), ...(hasBody && { body: fields }) }
}

async function sentFor(flag: Flag, given: string, client: ApiClient): Promise<unknown> {
  switch (flag.kind) {
    case 'switch':
      return flag.sends
    case 'number':
      return numberOf(flag.name, given)
    case 'names':
      return partsOf(given)
    case 'numbers':
      return partsOf(given).map((part) => numberOf(flag.name, part))
    case 'tenant':
      return tenantIdOf(given, client)
    case 'text-file':
      return textOfFile(given)
    case 'json-file':
      return jsonOfFile(given)
    default:
      return given
  }
}

function partsOf(given: string): string[] {
  return given
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}

/** @throws CommandError */
export function numberOf(name: string, given: string): number {
  if (/^[0-9]{1,9}$/.test(given)) return Number(given)
  throw usageError(`--${name} must be a whole number`)
}

/** Sets `admin.email` inside `admin`. */
function put(fields: Record<string, unknown>, path: string, value: unknown): void {
  const [first = '', ...rest] = path.split('.')
  if (rest.length === 0) {
    fields[first] = value
    return
  }
  const inner = { ...(fields[first] as Record<string, unknown> | undefined) }
  put(inner, rest.join('.'), value)
  fields[first] = inner
}

/** The id of a tenant that is named by its id or its code. Codes are found in any case. @throws CommandError */
async function tenantIdOf(given: string, client: ApiClient): Promise<string> {
  const code = given.trim().toLowerCase()
  if (isUuid(code)) return code
  if (!TENANT_CODE.test(code)) throw noTenant()
  let cursor: string | null = null
  do {
    const query = { q: code, limit: String(MOST_PER_PAGE), ...(cursor !== null && { cursor }) }
    const { body } = await client.call({ method: 'GET', path: '/api/v1/tenants', query })
    const found = (body.data as { id: string; code: string }[]).find((tenant) => tenant.code === code)
    if (found !== undefined) return found.id
    cursor = body.nextCursor
  } while (cursor !== null)
  throw noTenant()
}

function noTenant(): CommandError {
  return new CommandError(
    'No tenant has this code or id. List them: freehold tenants list (TENANT_NOT_FOUND)',
    {
      code: 'TENANT_NOT_FOUND',
      exitCode: EXIT.failed,
    },
  )
}
