import { fail } from '../../errors.ts'
import { isUuid } from '../../lib/ids.ts'

/** `{id}` of a path below `/tenants`. @throws PublicError TENANT_NOT_FOUND if it is no UUID */
export function tenantIdOf(params: unknown): string {
  const { id } = params as { id: string }
  if (!isUuid(id)) throw fail('TENANT_NOT_FOUND')
  return id.toLowerCase()
}

/** Any other id of a path. @throws PublicError NOT_FOUND if it is no UUID */
export function idOf(params: unknown, name = 'id'): string {
  const id = (params as Record<string, string | undefined>)[name] ?? ''
  if (!isUuid(id)) throw fail('NOT_FOUND')
  return id.toLowerCase()
}
