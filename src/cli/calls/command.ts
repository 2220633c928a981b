/** Where the value of a flag comes from. Secrets come from files, so that no list of processes and no shell history shows them. */
export type FlagKind =
  | { readonly kind: 'text' | 'number' | 'names' | 'numbers' | 'tenant' | 'text-file' | 'json-file' }
  | { readonly kind: 'choice'; readonly choices: readonly string[] }
  /** Takes no value: if the flag is there, this is sent. */
  | { readonly kind: 'switch'; readonly sends: boolean | null }

/** A flag that becomes a field of the query (GET, DELETE) or of the body. */
export type Flag = FlagKind & {
  readonly name: string
  /** `admin.email` is a field inside a field. */
  readonly field: string
  readonly help: string
  readonly isRequired?: boolean
}

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/** One command: one call of the operator API. */
export interface ApiCommand {
  readonly noun: string
  /** Null if the noun alone is the command. */
  readonly verb: string | null
  readonly method: Method
  /** As in the OpenAPI document, below `prefix`. A path parameter is an argument. */
  readonly path: string
  readonly prefix: '/api/v1' | ''
  readonly summary: string
  /** An argument that becomes a field of the body. */
  readonly argument?: { readonly name: string; readonly field: string }
  readonly flags: readonly Flag[]
  /** Fields that every call of this command sends. */
  readonly fixed?: Readonly<Record<string, unknown>>
  /** Columns of the table. Only lists have them. */
  readonly columns?: readonly string[]
  /** A field with sentences. They are printed last, one below the other. */
  readonly sentences?: string
  /** The command asks this before the call. */
  readonly question?: string
  /** Waits for the end of what it starts. */
  readonly isFollowed?: boolean
}

type Details = Partial<Omit<ApiCommand, 'noun' | 'verb' | 'method' | 'path' | 'summary'>>

/** `'GET /tenants'` with the command's words: `command('tenants list', 'GET /tenants', …)`. */
export function command(
  words: string,
  call: `${Method} /${string}`,
  [summary, details = {}]: [string, Details?],
): ApiCommand {
  const [noun = '', verb = null] = words.split(' ')
  const [method, path = ''] = call.split(' ')
  return { noun, verb, method: method as Method, path, prefix: '/api/v1', summary, flags: [], ...details }
}

export function text(name: string, field: string, help: string): Flag {
  return { kind: 'text', name, field, help }
}
export function number(name: string, field: string, help: string): Flag {
  return { kind: 'number', name, field, help }
}
export function names(name: string, field: string, help: string): Flag {
  return { kind: 'names', name, field, help }
}
export function numbers(name: string, field: string, help: string): Flag {
  return { kind: 'numbers', name, field, help }
}
export function tenant(name: string, field: string, help: string): Flag {
  return { kind: 'tenant', name, field, help }
}
export function textFile(name: string, field: string, help: string): Flag {
  return { kind: 'text-file', name, field, help }
}
export function jsonFile(name: string, field: string, help: string): Flag {
  return { kind: 'json-file', name, field, help }
}
export function choice(name: string, choices: readonly string[], help: string): Flag {
  return { kind: 'choice', name, field: name, choices, help }
}
export function switchTo(sends: boolean | null, [name, field]: [string, string], help: string): Flag {
  return { kind: 'switch', sends, name, field, help }
}
export function required(flag: Flag): Flag {
  return { ...flag, isRequired: true }
}

/** The names of a path's parameters: `/tenants/{id}/users/{userId}` has `id` and `userId`. */
export function parametersOf({ path }: Pick<ApiCommand, 'path'>): string[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name)
}

/** Whether a parameter names a tenant, so that its code is good as well. */
export function namesTenant({ path }: Pick<ApiCommand, 'path'>, parameter: string): boolean {
  return parameter === 'tenantId' || (parameter === 'id' && path.startsWith('/tenants/'))
}

/** The arguments as the help shows them. */
export function argumentsOf(given: ApiCommand): string[] {
  const inPath = parametersOf(given).map((name) =>
    namesTenant(given, name) ? 'tenant' : name.replace(/Id$/, ''),
  )
  return given.argument === undefined ? inPath : [...inPath, given.argument.name]
}

export const wordsOf = ({ noun, verb }: ApiCommand): string => (verb === null ? noun : `${noun} ${verb}`)
