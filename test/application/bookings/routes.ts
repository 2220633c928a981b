import { and, eq, gt, sql } from 'drizzle-orm'
import { Type } from 'typebox'
import { problem, type Scope } from '../../../src/index.ts'
import { bookings, rooms } from './tables.ts'

const Params = Type.Object({ id: Type.String({ format: 'uuid' }) })
const Booking = Type.Object({ id: Type.String(), slot: Type.String() }, { title: 'Booking' })
const Page = Type.Object({ data: Type.Array(Booking), nextCursor: Type.Union([Type.String(), Type.Null()]) })

/** One route for each feature of routes. */
export function routes(scope: Scope): void {
  bookingRoutes(scope)
  callerRoutes(scope)
  faultyRoutes(scope)
  answeringRoutes(scope)
  scope.register((inner, server) => {
    server.addContentTypeParser('text/csv', { parseAs: 'string' }, async (_request: unknown, text: unknown) =>
      String(text).split('\n'),
    )
    const options = { access: 'imports:write', schema: { body: Type.Array(Type.String()) } }
    inner.tenant.put('/imports', options, async ({ body }) => ({ lines: body.length }))
  })
}

function bookingRoutes({ tenant }: Scope): void {
  const Query = Type.Object({
    limit: Type.Integer({ minimum: 1, maximum: 10, default: 2 }),
    cursor: Type.Optional(Type.String()),
  })
  const listed = { params: Params, querystring: Query, response: { 200: Page } }
  tenant.get('/rooms/:id/bookings', { access: 'bookings:read', schema: listed }, async (request) => {
    const { limit, cursor } = request.query
    const data = await request.tenant.db
      .select({ id: bookings.id, slot: bookings.slot })
      .from(bookings)
      .where(and(eq(bookings.roomId, request.params.id), cursor ? gt(bookings.id, cursor) : undefined))
      .orderBy(bookings.id)
      .limit(limit + 1)
    return {
      data: data.slice(0, limit),
      nextCursor: data[limit] === undefined ? null : (data[limit - 1]?.id ?? null),
    }
  })

  const NewBooking = Type.Object(
    { slot: Type.String(), note: Type.Optional(Type.String()) },
    { title: 'NewBooking' },
  )
  const made = { params: Params, body: NewBooking, response: { 201: Booking } }
  tenant.post('/rooms/:id/bookings', { access: 'bookings:write', schema: made }, async (request, reply) => {
    const { params, body } = request
    const booking = await request.tenant.transaction(async (db, inside) => {
      const [room] = await db.select().from(rooms).where(eq(rooms.id, params.id)).for('update')
      if (room === undefined) return problem('REFERENCE_NOT_FOUND')
      const taken = await db.$count(bookings, and(eq(bookings.roomId, room.id), eq(bookings.slot, body.slot)))
      if (taken > 0)
        return problem('SLOT_TAKEN', `${body.slot} is taken`, { slot: body.slot, status: 200, type: 'x' })
      inside.audit('booking.create', { slot: body.slot })
      const [row] = await db
        .insert(bookings)
        .values({ roomId: room.id, ...body })
        .returning()
      return row
    })
    reply.code(201).header('location', `/bookings/${booking?.id}`)
    return booking
  })

  tenant.delete(
    '/rooms/:id/bookings',
    { access: 'bookings:write', schema: { params: Params } },
    async (request, reply) => {
      await request.tenant.db.delete(rooms).where(eq(rooms.id, request.params.id))
      return reply.code(204).send()
    },
  )
}

function callerRoutes({ tenant, operator, open }: Scope): void {
  tenant.get('/whoami', { access: 'bookings:read' }, async (request) => {
    const { id, code, name, principal, actingFor } = request.tenant
    const mayWrite = principal.permissions.has('bookings:write')
    return { id, code, name, actingFor, kind: principal.kind, home: principal.tenantId, mayWrite }
  })
  operator.get('/counts', async ({ principal }) => ({ kind: principal.kind }))
  operator.post('/counts', async () => ({ ok: true }))
  operator.get('/leaks', async ({ tenant: { id } }) => ({ id }))
  open.get(
    '/opening-hours',
    { schema: { querystring: Type.Object({ day: Type.Integer() }) } },
    async ({ query }) => query,
  )
  open.post(
    '/opening-hours',
    { schema: { body: Type.Object({ day: Type.Integer() }) } },
    async ({ body }) => body,
  )
}

/** Handlers that answer through `reply`, and one that continues after its own transaction has failed. */
function answeringRoutes({ tenant }: Scope): void {
  const access = 'faults:run'
  const How = Type.Object({ how: Type.String() })
  tenant.post('/answers/:how', { access, schema: { params: How } }, async (request, reply) => {
    const { how } = request.params
    if (how === 'sent') return reply.code(201).header('set-cookie', ['a=1', 'b=2']).send({ how })
    if (how === 'redirected') return reply.redirect('/elsewhere', 303)
    if (how === 'not-found') return reply.callNotFound()
    await request.tenant
      .transaction(async (db) => {
        await db.insert(rooms).values({ name: `undone ${how}` })
        return problem('SLOT_TAKEN')
      })
      .catch(() => null)
    return { how }
  })
}

/** Handlers that fail. */
function faultyRoutes({ tenant }: Scope): void {
  const access = 'faults:run'
  const Kind = Type.Object({ kind: Type.String() })
  tenant.post(
    '/faults/:kind',
    { access, schema: { params: Kind } },
    async ({ tenant: { db, audit }, params }) => {
      audit('fault.run', { kind: params.kind })
      const room = { roomId: '01900000-0000-7000-8000-0000000000ff', slot: 'x' }
      const faults: Record<string, () => Promise<unknown>> = {
        table: () => db.execute(sql`select * from nowhere`),
        column: () => db.execute(sql`select nothing from rooms`),
        function: () => db.execute(sql`select no_such_thing()`),
        syntax: () => db.execute(sql`selec 1`),
        reference: () => db.insert(bookings).values(room),
        unique: () => db.insert(rooms).values([{ name: 'Twin' }, { name: 'Twin' }]),
        check: () => db.insert(rooms).values({ name: 'None', seats: 0 }),
        value: () => db.select().from(rooms).where(eq(rooms.id, 'no-uuid')),
        undeclared: async () => problem('NEVER_DECLARED'),
        written: async () => {
          await db.insert(rooms).values({ name: 'Left behind' }).onConflictDoNothing()
          throw new Error('after a write')
        },
        closed: async () => problem('CLOSED_TODAY'),
        unwritable: async () => problem('CLOSED_TODAY', 'later', { amount: 1n }),
        inherited: async () => problem('toString'),
        replaced: async () => problem('CLOSED_TODAY', 'later', { toJSON: () => ({}) }),
        plain: () => Promise.reject(new Error('a secret of the handler')),
        stream: async () => Buffer.from('no JSON'),
      }
      return (await faults[params.kind]?.()) ?? null
    },
  )
}
