import type { FastifySchema } from 'fastify'
import type { OwnOptions } from '../../application/scope.ts'
import {
  type Application,
  ApplicationError,
  PATH,
  PERMISSION,
  RESERVED_PATHS,
  type Scope,
  type ScopePlugin,
} from '../../application.ts'

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
export type Kind = 'tenant' | 'operator' | 'open'
type Handler = (this: never, request: never, reply: never) => unknown

/** A route as an application declares it. */
export interface OwnRoute {
  readonly kind: Kind
  readonly method: Method
  readonly path: string
  readonly options: OwnOptions & { readonly access?: string; readonly digest?: unknown }
  readonly handler: Handler
}

export type Declared = OwnRoute | { readonly plugin: ScopePlugin }

const METHODS: readonly Method[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']
const KINDS: readonly Kind[] = ['tenant', 'operator', 'open']

/** A scope that passes each declaration to `add`. */
export function scopeInto(add: (declared: Declared) => void): Scope {
  const verbsOf = (kind: Kind) =>
    Object.freeze(
      Object.fromEntries(
        METHODS.map((method) => [
          method.toLowerCase(),
          (path: string, given: unknown, last?: unknown) => {
            const [options, handler] = typeof given === 'function' ? [{}, given] : [given ?? {}, last]
            add({ kind, method, path, options, handler } as OwnRoute)
          },
        ]),
      ),
    )
  const verbs = Object.fromEntries(KINDS.map((kind) => [kind, verbsOf(kind)]))
  return Object.freeze({ ...verbs, register: (plugin: ScopePlugin) => add({ plugin }) }) as unknown as Scope
}

/**
 * The routes that an application declares, and their permissions. Routes of a `register` plugin are known after Fastify has run
 * the plugin, all others at once.
 */
export class RouteBook {
  readonly declared: readonly Declared[]
  readonly #permissions: Set<string>
  readonly #known = new Map<string, string>()
  readonly #operationIds = new Set<string>()

  /** @throws ApplicationError with every problem of the routes */
  constructor({ resources, permissions, routes }: Pick<Application, 'resources' | 'permissions' | 'routes'>) {
    this.#permissions = new Set(permissions)
    for (const { name, methods } of resources) {
      const ofRow = { update: 'PATCH', remove: 'DELETE' } as const
      const paths = [`GET /${name}`, `GET /${name}/:`]
      for (const method of methods)
        paths.push(method === 'create' ? `POST /${name}` : `${ofRow[method]} /${name}/:`)
      for (const path of paths) this.#known.set(path, `the resource "${name}" serves it`)
    }
    const declared: Declared[] = []
    routes?.(scopeInto((entry) => declared.push(entry)))
    const problems = declared.flatMap((entry) => ('plugin' in entry ? [] : this.#enter(entry)))
    if (problems.length > 0) throw new ApplicationError(problems)
    this.declared = declared
  }

  /** The permissions of the application, its resources and its routes, sorted. */
  get permissions(): readonly string[] {
    return [...this.#permissions].sort()
  }

  /** Adds a route of a plugin. @throws ApplicationError if the route is not valid */
  add(route: OwnRoute): void {
    const problems = this.#enter(route)
    if (problems.length > 0) throw new ApplicationError(problems)
  }

  /** Adds a route on a host, which may have any path. @throws ApplicationError if the route is not valid */
  addHostRoute(route: OwnRoute): void {
    const { kind, method, path, options } = route
    const problems = kind === 'tenant' ? faultsOfAccess(`The route ${method} ${path}`, options.access) : []
    if (problems.length > 0) throw new ApplicationError(problems)
    if (options.access !== undefined) this.#permissions.add(options.access)
  }

  /** Adds the permission of a route that a plugin has registered with Fastify's own methods. */
  addPermission(permission: string): void {
    this.#permissions.add(permission)
  }

  /** A route's unique `operationId` in the document: the route's own, or one made from method and path. */
  operationIdOf({ method, path, options }: OwnRoute): string {
    const { operationId: own } = (options.schema ?? {}) as { operationId?: string }
    const wanted = own ?? `${method.toLowerCase()}${wordsOf(path)}`
    let id = wanted
    for (let number = 2; this.#operationIds.has(id); number += 1) id = `${wanted}${number}`
    this.#operationIds.add(id)
    return id
  }

  #enter(route: OwnRoute): string[] {
    const problems = faultsOfRoute(route)
    if (problems.length > 0) return problems
    const key = `${route.method} ${route.path.replaceAll(/:[^/-]+/g, ':')}`
    const known = this.#known.get(key)
    if (known !== undefined)
      return [`The route ${route.method} ${route.path} exists twice: ${known}. Change one of the paths.`]
    this.#known.set(key, `another route of the application has the path ${route.path}`)
    if (route.kind === 'tenant') this.#permissions.add(String(route.options.access))
    return []
  }
}

function faultsOfRoute({ kind, method, path, options, handler }: OwnRoute): string[] {
  const name = `The route ${method} ${String(path)}`
  const { access } = options
  if (typeof path !== 'string' || !PATH.test(firstOf(path)) || path.includes('//') || path.endsWith('/'))
    return [
      `${name} must have a path such as "/bookings/:id", whose first part is of lower-case letters, digits, hyphens.`,
    ]
  return [
    ...(typeof handler === 'function'
      ? []
      : [`${name} has no handler. Give it a function as the last argument.`]),
    ...(RESERVED_PATHS.has(firstOf(path))
      ? [`${name} is below "/${firstOf(path)}", which Freehold serves itself. Choose another path.`]
      : []),
    ...(kind === 'tenant' ? faultsOfAccess(name, access) : []),
    ...(kind !== 'tenant' && access !== undefined
      ? [
          `${name} is for ${kind === 'open' ? 'all callers' : 'operators'} and takes no access. Remove it, or use scope.tenant.`,
        ]
      : []),
    ...faultsOfSchema(name, method, options.schema),
  ]
}

function faultsOfAccess(name: string, access: unknown): string[] {
  if (access === undefined)
    return [
      `${name} declares no access. Give it { access: "bookings:read" }, the permission that callers must hold.`,
    ]
  if (typeof access === 'string' && PERMISSION.test(access)) return []
  return [
    `${name} has the access ${JSON.stringify(access)}, which must be a permission such as "bookings:read".`,
  ]
}

function faultsOfSchema(name: string, method: Method, schema: FastifySchema | undefined): string[] {
  const isRead = method === 'GET' || method === 'HEAD'
  return isRead && schema?.body !== undefined
    ? [`${name} declares a body, but ${method} has no body. Declare a querystring, or use POST.`]
    : []
}

function firstOf(path: string): string {
  return path.startsWith('/') ? (path.split('/')[1] ?? '') : ''
}

function wordsOf(path: string): string {
  return path
    .split('/')
    .filter((part) => part !== '')
    .map((part) => (part.startsWith(':') ? `By-${part.slice(1)}` : part))
    .flatMap((part) => part.split(/[^A-Za-z0-9]+/))
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join('')
}
