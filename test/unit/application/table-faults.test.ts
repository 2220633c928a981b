import {
  foreignKey,
  index,
  integer,
  pgEnum,
  pgMaterializedView,
  pgPolicy,
  pgSchema,
  pgSequence,
  pgTable,
  pgView,
  primaryKey,
  serial,
  text,
  unique,
  uniqueIndex,
  uuid,
} from 'drizzle-orm/pg-core'
import { integer as sqliteInteger, sqliteTable } from 'drizzle-orm/sqlite-core'
import { describe, expect, test } from 'vitest'
import { ApplicationError, defineApplication } from '../../../src/application.ts'
import { referenceTable, tenantTable, users } from '../../../src/index.ts'
import { roles } from '../../../src/residence/tables.ts'

const name = () => text('name').notNull()
const tenantId = () => uuid('tenant_id').notNull()
const places = tenantTable('places', { name: name() })
const countries = referenceTable('countries', { code: text('code').primaryKey() })
const long = 'a_name_of_more_than_sixty_three_bytes_which_postgresql_would_cut_off'

const problemsOf = (tables: Record<string, unknown>): readonly string[] => {
  try {
    defineApplication({ name: 'clinic', tables, migrations: '/nowhere' })
    return []
  } catch (error) {
    if (!(error instanceof ApplicationError)) throw error
    return error.problems
  }
}

describe('an application can be defined with', () => {
  test.each<[string, Record<string, unknown>]>([
    ['tables of both kinds', { places, countries }],
    ['one table under two names', { places, same: places }],
    [
      'keys to users, to reference tables, and to itself',
      {
        countries,
        visits: tenantTable(
          'visits',
          { userId: uuid('user_id'), country: text('country'), afterId: uuid('after_id') },
          (t, { references }): ReturnType<typeof references>[] => [
            references(t.userId, () => users),
            references(t.afterId, () => t as never),
            foreignKey({
              name: 'visits_country_fkey',
              columns: [t.country],
              foreignColumns: [countries.code],
            }),
          ],
        ),
      },
    ],
    [
      "drizzle's own builders, if they begin with the tenant",
      {
        visits: pgTable(
          'visits',
          { tenantId: tenantId(), id: uuid('id').notNull(), code: text('code') },
          (t) => [
            primaryKey({ columns: [t.tenantId, t.id] }),
            unique('visits_code_key').on(t.tenantId, t.code),
            uniqueIndex('visits_code_idx').on(t.tenantId, t.code),
            index('visits_id_idx').on(t.id),
            pgPolicy('visits_named', { as: 'restrictive' }),
          ],
        ),
      },
    ],
    [
      'what is no table',
      {
        places,
        state: pgEnum('state', ['open']),
        numbers: pgSequence('numbers'),
        names: pgView('names')
          .with({ securityInvoker: true })
          .as((qb) => qb.select().from(places)),
        made: pgView('made_by_hand', { name: name() }).existing(),
        Helper: class {},
        nothing: null,
      },
    ],
  ])('%s', (_what, tables) => {
    expect(problemsOf(tables)).toEqual([])
  })
})

describe('an application cannot be defined with', () => {
  test.each<[string, Record<string, unknown>, RegExp]>([
    [
      'two tables of one name',
      { places, other: tenantTable('places', {}) },
      /^Two tables are named "places"\. Rename/,
    ],
    ["a name of the core's", { u: tenantTable('users', {}) }, /^Table "users" has a name that is reserved/],
    [
      'a name that the core may take',
      { u: tenantTable('freehold_x', {}) },
      /^Table "freehold_x" has a name that is reserved/,
    ],
    [
      'a table of another schema',
      { x: pgSchema('reports').table('x', { tenantId: tenantId().primaryKey() }) },
      /^Table "x" is in the schema "reports"/,
    ],
    [
      'a table without the tenant',
      { x: pgTable('x', { id: uuid('id').primaryKey() }) },
      /^Table "x" has no column tenant_id\. Make it with tenantTable/,
    ],
    [
      'a tenant that may be null',
      { x: pgTable('x', { tenantId: uuid('tenant_id') }) },
      /^Column tenant_id of table "x" must be uuid and NOT NULL/,
    ],
    [
      'a primary key of id alone',
      { x: pgTable('x', { tenantId: tenantId(), id: uuid('id').primaryKey() }) },
      /^The primary key of table "x" must begin with tenant_id/,
    ],
    [
      'two primary keys',
      { x: tenantTable('x', { code: text('code').primaryKey() }) },
      /^Table "x" has more than one primary key/,
    ],
    [
      'an inline unique()',
      { x: tenantTable('x', { code: text('code').unique() }) },
      /^The unique key on code of table "x" must begin/,
    ],
    [
      'a unique key with the tenant behind',
      { x: tenantTable('x', { code: text('code') }, (t) => [unique('k').on(t.code, t.tenantId)]) },
      /^The unique key k of table "x" must begin/,
    ],
    [
      'a unique index without the tenant',
      { x: tenantTable('x', { code: text('code') }, (t) => [uniqueIndex('i').on(t.code)]) },
      /^The unique key i of table "x" must begin/,
    ],
    [
      'an inline references()',
      { places, x: tenantTable('x', { placeId: uuid('place_id').references(() => places.id) }) },
      /^The foreign key .* of table "x" must begin with tenant_id on both sides/,
    ],
    [
      'a key with the tenant behind',
      {
        places,
        x: tenantTable('x', { placeId: uuid('place_id') }, (t) => [
          foreignKey({
            name: 'f',
            columns: [t.placeId, t.tenantId],
            foreignColumns: [places.tenantId, places.id],
          }),
        ]),
      },
      /^The foreign key f of table "x" must begin/,
    ],
    [
      'a key that clears the tenant',
      {
        places,
        x: tenantTable('x', { placeId: uuid('place_id') }, (t) => [
          foreignKey({
            name: 'f',
            columns: [t.tenantId, t.placeId],
            foreignColumns: [places.tenantId, places.id],
          }).onDelete('set null'),
        ]),
      },
      /^The foreign key f of table "x" would also set tenant_id to null/,
    ],
    [
      'a key to a table that is not declared',
      {
        x: tenantTable('x', { placeId: uuid('place_id') }, (t, { references }) => [
          references(t.placeId, () => places),
        ]),
      },
      /^The foreign key x_place_id_fkey of table "x" refers to "places", which is not one/,
    ],
    [
      'a key to a table of the core but users',
      {
        x: tenantTable('x', { roleId: uuid('role_id') }, (t, { references }) => [
          references(t.roleId, () => roles),
        ]),
      },
      /refers to "roles", which is not one of the application's tables/,
    ],
    [
      "a reference table that refers to a tenant's row",
      { places, x: referenceTable('x', { placeId: uuid('place_id').references(() => places.id) }) },
      /^The foreign key .* of table "x" refers to "places", which is not a reference table/,
    ],
    [
      "a reference table that holds tenants' rows",
      { x: referenceTable('x', { tenantId: tenantId(), id: uuid('id').primaryKey() }) },
      /^Reference table "x" has a column tenant_id/,
    ],
    [
      'a column twice',
      { x: tenantTable('x', { tenant: uuid('tenant_id') }) },
      /^Table "x" has two columns named "tenant_id"/,
    ],
    ['a serial', { x: tenantTable('x', { n: serial('n') }) }, /^Column "n" of table "x" is a serial/],
    [
      'a permissive policy',
      { x: tenantTable('x', { n: integer('n') }, () => [pgPolicy('all_rows')]) },
      /^The policy "all_rows" of table "x"/,
    ],
    [
      'a name that is cut off',
      { x: tenantTable(long, {}) },
      /^The name "a_name_\w*cut_off" .* has more than 63 bytes/,
    ],
    [
      'a key whose name is cut off',
      { x: tenantTable('x', { a: text(long.slice(0, 61)) }, (t, { unique: u }) => [u(t.a)]) },
      /^The name "x_a_name.*_key" in table "x" has more than 63 bytes/,
    ],
    [
      'a view of the owner',
      { places, v: pgView('v').as((qb) => qb.select().from(places)) },
      /^The view "v" would show every tenant's rows/,
    ],
    [
      'a materialised view',
      { places, v: pgMaterializedView('v').as((qb) => qb.select().from(places)) },
      /^A materialised view holds rows of every tenant/,
    ],
  ])('%s', (_what, tables, problem) => {
    const problems = problemsOf(tables)
    expect(
      problems.filter((each) => problem.test(each)),
      problems.join('\n'),
    ).toHaveLength(1)
  })
})

describe('a wrong argument from JavaScript gets an error that explains it', () => {
  test.each<[string, unknown, RegExp]>([
    ['nothing', undefined, /^defineApplication needs an object/],
    ['no tables', { name: 'clinic', migrations: '/m' }, /^tables must be an object of tables/],
    [
      'null for tables',
      { name: 'clinic', tables: null, migrations: '/m' },
      /^tables must be an object of tables/,
    ],
    ['no name', { tables: {}, migrations: '/m' }, /^The application's name "undefined" must be lower case/],
    ['no migrations', { name: 'clinic', tables: {} }, /^migrations must be a file: URL/],
    [
      'a table of SQLite',
      { name: 'clinic', tables: { x: sqliteTable('x', { id: sqliteInteger('id') }) }, migrations: '/m' },
      /^Table "x" is not a PostgreSQL table\. Make it with tenantTable/,
    ],
  ])('%s', (_what, definition, problem) => {
    const define = () => defineApplication(definition as never)
    expect(define).toThrow(ApplicationError)
    expect(define).toThrow(problem)
  })
})
