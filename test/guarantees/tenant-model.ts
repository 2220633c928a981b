/**
 * A second implementation of the rule which tenant a request is served for: for a few tenants and callers, without network, cache
 * or database, and short enough to be read as the rule itself.
 */

export interface ModelTenant {
  readonly id: string
  readonly code: string
  readonly isActive: boolean
  readonly parent: string | null
}

/** The holder of a credential. `tenants` are those that it gives access to; a token of an issuer has the one that it names. */
export interface ModelCaller {
  readonly kind: 'user' | 'client-key' | 'account' | 'external' | 'operator'
  /** Codes. An unknown code stands for a tenant that does not exist. */
  readonly tenants: readonly string[]
  readonly mayAct: boolean
}

export interface ModelWorld {
  readonly tenants: readonly ModelTenant[]
  /** By the whole value of the header with the credential. */
  readonly callers: ReadonlyMap<string, ModelCaller>
}

export interface ModelRequest {
  /** The headers in the order in which they are sent. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  /** True if the body or the query names a tenant where no name is allowed. */
  readonly namesTenantElsewhere: boolean
}

/** The code of the tenant that is served, or the code of the error. */
export type Verdict = { readonly serves: string } | { readonly refuses: string }

class Refused extends Error {
  readonly code: string
  constructor(code: string) {
    super(code)
    this.code = code
  }
}

export function judge(world: ModelWorld, request: ModelRequest): Verdict {
  try {
    const values = readHeaders(request)
    const caller = callerOf(world, values)
    const home = homeOf(world, caller, values.code)
    const served = servedFor(world, caller, { home, named: values.actFor })
    if (request.namesTenantElsewhere) throw new Refused('VALIDATION_FAILED')
    return { serves: served.code }
  } catch (error) {
    if (error instanceof Refused) return { refuses: error.code }
    throw error
  }
}

interface Values {
  readonly bearer: string | undefined
  readonly key: string | undefined
  readonly code: string | undefined
  readonly actFor: string | undefined
}

/** A header about access may occur once. Spaces around a value do not belong to it (RFC 9110, section 5.5). */
function readHeaders({ headers }: ModelRequest): Values {
  const only = (wanted: string) => {
    const values = headers.filter(([name]) => name.toLowerCase() === wanted).map(([, value]) => value)
    if (values.length > 1) throw new Refused('VALIDATION_FAILED')
    return values[0]?.replaceAll(/^[ \t]+|[ \t]+$/g, '')
  }
  return {
    bearer: only('authorization'),
    key: only('x-client-key'),
    code: folded(only('x-tenant-code')),
    actFor: folded(only('x-account-id')),
  }
}

/** People type codes, so spaces around them and capital letters do not count. Only letters that codes may have are folded. */
function folded(value: string | undefined): string | undefined {
  return value?.trim().replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase())
}

function callerOf({ callers }: ModelWorld, { bearer, key }: Values): ModelCaller {
  const shown = bearer ?? key
  if ((bearer === undefined) === (key === undefined) || shown === undefined || shown === '')
    throw new Refused('UNAUTHENTICATED')
  const caller = callers.get(shown)
  if (caller === undefined) throw new Refused(bearer === undefined ? 'INVALID_CREDENTIALS' : 'TOKEN_INVALID')
  if (caller.kind === 'operator') throw new Refused('PERMISSION_DENIED')
  return caller
}

function homeOf(world: ModelWorld, caller: ModelCaller, code: string | undefined): ModelTenant {
  const named = world.tenants.find((tenant) => tenant.code === code)
  if (caller.kind === 'client-key') {
    if (code === undefined || code === '') throw new Refused('TENANT_AMBIGUOUS')
    return confirmed(caller, assertThere(named))
  }
  if (caller.kind === 'account') return picked(world, caller, { code, named })
  const own = assertThere(world.tenants.find((tenant) => tenant.code === caller.tenants[0]))
  if (code !== undefined && code !== own.code) throw new Refused('CROSS_TENANT_ACCESS')
  return own
}

function picked(
  { tenants }: ModelWorld,
  caller: ModelCaller,
  { code, named }: { code: string | undefined; named: ModelTenant | undefined },
): ModelTenant {
  if (caller.tenants.length === 0) throw new Refused('CROSS_TENANT_ACCESS')
  if (code !== undefined) return assertThere(confirmed(caller, named))
  if (caller.tenants.length > 1) throw new Refused('TENANT_AMBIGUOUS')
  return assertThere(tenants.find((tenant) => tenant.code === caller.tenants[0]))
}

function confirmed({ tenants }: ModelCaller, named: ModelTenant | undefined): ModelTenant {
  if (named === undefined || !tenants.includes(named.code)) throw new Refused('CROSS_TENANT_ACCESS')
  return named
}

function assertThere(tenant: ModelTenant | undefined): ModelTenant {
  if (!tenant?.isActive) throw new Refused('TENANT_NOT_FOUND')
  return tenant
}

function servedFor(
  { tenants }: ModelWorld,
  { mayAct }: ModelCaller,
  { home, named }: { home: ModelTenant; named: string | undefined },
): ModelTenant {
  if (named === undefined) return home
  const target = tenants.find(({ id, code }) => id === named || code === named)
  if (target === home) return home
  if (!mayAct || target === undefined || !ancestorsOf(tenants, target).includes(home))
    throw new Refused('CROSS_TENANT_ACCESS')
  return assertThere(target)
}

function ancestorsOf(tenants: readonly ModelTenant[], { parent }: ModelTenant): ModelTenant[] {
  const above = tenants.find(({ code }) => code === parent)
  return above === undefined ? [] : [above, ...ancestorsOf(tenants, above)]
}
