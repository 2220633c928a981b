import { describe, expect, test } from 'vitest'
import { faultsOfErrors } from '../../../../src/application/own-errors.ts'
import { ApplicationError, type Scope } from '../../../../src/application.ts'
import { closed } from '../../../../src/http/own/closed-schema.ts'
import { type OwnRoute, RouteBook } from '../../../../src/http/own/route-book.ts'
import { property } from '../../../support/application.ts'
import { makeServer } from '../fakes.ts'

const handler = async () => null
const access = 'bookings:read'
const book = (routes: (scope: Scope) => void) => new RouteBook({ ...property, routes })

function problemsOf(routes: (scope: Scope) => void): readonly string[] {
  try {
    book(routes)
    return []
  } catch (error) {
    expect(error).toBeInstanceOf(ApplicationError)
    return (error as ApplicationError).problems
  }
}

describe('an invalid route', () => {
  test.each<[string, (scope: Scope) => void, string]>([
    [
      'without access',
      ({ tenant }) => tenant.get('/bookings', {} as never, handler),
      'The route GET /bookings declares no access. Give it { access: "bookings:read" }, the permission that callers must hold.',
    ],
    [
      'without options',
      ({ tenant }) => (tenant.post as (...given: unknown[]) => void)('/bookings', handler),
      'The route POST /bookings declares no access. Give it { access: "bookings:read" }, the permission that callers must hold.',
    ],
    [
      'with a permission of another form',
      ({ tenant }) => tenant.get('/bookings', { access: 'Bookings' }, handler),
      'The route GET /bookings has the access "Bookings", which must be a permission such as "bookings:read".',
    ],
    [
      'below a path of the core',
      ({ tenant }) => tenant.get('/users/:id/bookings', { access }, handler),
      'The route GET /users/:id/bookings is below "/users", which Freehold serves itself. Choose another path.',
    ],
    [
      'twice',
      ({ tenant, open }) => {
        tenant.get('/bookings/:id', { access }, handler)
        open.get('/bookings/:number', handler)
      },
      'The route GET /bookings/:number exists twice: another route of the application has the path /bookings/:id. Change one of the paths.',
    ],
    [
      'where a resource is',
      ({ tenant }) => tenant.patch('/places/:placeId', { access }, handler),
      'The route PATCH /places/:placeId exists twice: the resource "places" serves it. Change one of the paths.',
    ],
    [
      'without a handler',
      ({ open }) => (open.get as (...given: unknown[]) => void)('/hours', {}),
      'The route GET /hours has no handler. Give it a function as the last argument.',
    ],
    [
      'for anybody, with access',
      ({ open }) => open.get('/hours', { access } as never, handler),
      'The route GET /hours is for all callers and takes no access. Remove it, or use scope.tenant.',
    ],
    [
      'with a path that is none',
      ({ open }) => open.get('hours/', handler),
      'The route GET hours/ must have a path such as "/bookings/:id", whose first part is of lower-case letters, digits, hyphens.',
    ],
    [
      'that reads with a body',
      ({ open }) => open.get('/hours', { schema: { body: {} } }, handler),
      'The route GET /hours declares a body, but GET has no body. Declare a querystring, or use POST.',
    ],
  ])('with %s is named, and the error says what to change', (_case, routes, told) => {
    expect(problemsOf(routes)).toEqual([told])
  })

  test('is reported together with the others', () => {
    const routes = ({ tenant, open }: Scope) => {
      tenant.get('/a', {} as never, handler)
      open.get('/users', handler)
    }
    expect(problemsOf(routes)).toHaveLength(2)
  })

  test('is found in a plugin too', async () => {
    const application = {
      ...property,
      routes: (scope: Scope) => scope.register((inner) => inner.tenant.get('/a', {} as never, handler)),
    }
    await expect(makeServer({ application }).ready()).rejects.toThrow('The route GET /a declares no access.')
  })

  test('is found if a plugin registers it with Fastify directly', async () => {
    const application = {
      ...property,
      routes: (scope: Scope) => scope.register((_inner, server) => void server.get('/bare', handler)),
    }
    await expect(makeServer({ application }).ready()).rejects.toThrow('declares no access')
  })
})

test('permissions of routes are declared permissions, also those of plugins', async () => {
  const application = {
    ...property,
    routes: (scope: Scope) => {
      scope.tenant.get('/bookings', { access }, handler)
      scope.register((inner) => inner.tenant.get('/imports', { access: 'imports:run' }, handler))
    },
  }
  const routes = new RouteBook(application)
  expect(routes.permissions).toContain(access)
  const server = makeServer({ application, own: { ...ownParts(), routes } })
  await server.ready()
  expect(routes.permissions).toContain('imports:run')
  expect(routes.permissions).toEqual([...routes.permissions].toSorted())
})

const ownParts = () => ({ schema: null as never, errors: null as never })

test('operations are named after method and path, and each name is unique', () => {
  const routes = book(() => undefined)
  const idOf = (method: OwnRoute['method'], path: string) =>
    routes.operationIdOf({ kind: 'open', method, path, options: {}, handler })
  expect(idOf('GET', '/rooms/:id/free-slots')).toBe('getRoomsByIdFreeSlots')
  expect(idOf('GET', '/rooms/:id/free/slots')).toBe('getRoomsByIdFreeSlots2')
})

describe('errors of an application', () => {
  test.each([
    [{ slotTaken: { status: 409, title: 'x' } }, 'capitals'],
    [{ CONFLICT: { status: 409, title: 'x' } }, 'belongs to Freehold'],
    [{ SLOT_TAKEN: { status: 200, title: 'x' } }, 'from 400 to 599'],
    [{ SLOT_TAKEN: { status: 409, title: ' ' } }, 'must have a title'],
  ])('%j: %s', (errors, told) => {
    expect(faultsOfErrors(errors)).toEqual([expect.stringContaining(told)])
  })

  test('of a valid form are accepted', () => {
    expect(faultsOfErrors({ SLOT_TAKEN: { status: 409, title: 'The slot is taken' } })).toEqual([])
  })
})

test('objects accept no undeclared members at any depth, unless their schema says so', () => {
  const inner = { type: 'object', properties: { x: { type: 'integer' } } }
  const given = {
    type: 'object',
    properties: {
      inner,
      list: { type: 'array', items: inner },
      open: { ...inner, additionalProperties: true },
    },
  }
  const shut = { ...inner, additionalProperties: false }
  expect(closed(given)).toEqual({
    type: 'object',
    properties: {
      inner: shut,
      list: { type: 'array', items: shut },
      open: { ...inner, additionalProperties: true },
    },
    additionalProperties: false,
  })
  expect(closed({ anyOf: [inner, { type: 'null' }] })).toEqual({ anyOf: [inner, { type: 'null' }] })
})
