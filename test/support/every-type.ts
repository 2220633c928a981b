// A collection with a column of each type that an application can declare, and values at the edges of each.

import {
  bigint,
  boolean,
  char,
  customType,
  date,
  doublePrecision,
  inet,
  integer,
  interval,
  json,
  jsonb,
  numeric,
  pgEnum,
  point,
  real,
  smallint,
  text,
  time,
  timestamp,
  uuid,
  varchar,
} from 'drizzle-orm/pg-core'
import { type TSchema, Type } from 'typebox'
import { tenantTable } from '../../src/application/tenant-table.ts'
import { defineResource } from '../../src/collections/define-resource.ts'

const bytea = customType<{ data: Buffer }>({ dataType: () => 'bytea' })
const short = customType<{ data: string }>({ dataType: () => 'short' })
export const mood = pgEnum('mood', ['good', 'bad'])

export const samples = tenantTable('samples', {
  cText: text('c_text'),
  cVarchar: varchar('c_varchar', { length: 40 }),
  cChar: char('c_char', { length: 5 }),
  cInteger: integer('c_integer'),
  cSmallint: smallint('c_smallint'),
  cBigint: bigint('c_bigint', { mode: 'number' }),
  cNumeric: numeric('c_numeric'),
  cMoney: numeric('c_money', { precision: 12, scale: 2 }),
  cReal: real('c_real'),
  cDouble: doublePrecision('c_double'),
  cBoolean: boolean('c_boolean'),
  cDate: date('c_date'),
  cTimestamp: timestamp('c_timestamp', { mode: 'string' }),
  cMoment: timestamp('c_moment', { withTimezone: true, mode: 'string' }),
  cSecond: timestamp('c_second', { withTimezone: true, precision: 0, mode: 'string' }),
  cTime: time('c_time'),
  cInterval: interval('c_interval'),
  cUuid: uuid('c_uuid'),
  cJson: json('c_json'),
  cJsonb: jsonb('c_jsonb'),
  cBytea: bytea('c_bytea'),
  cTexts: text('c_texts').array(),
  cIntegers: integer('c_integers').array(),
  cBigints: bigint('c_bigints', { mode: 'number' }).array(),
  cUuids: uuid('c_uuids').array(),
  cMoments: timestamp('c_moments', { withTimezone: true, mode: 'string' }).array(),
  cMood: mood('c_mood'),
  cShort: short('c_short'),
  cInet: inet('c_inet'),
  cPoint: point('c_point'),
  order: integer('order').notNull(),
})

export const SAMPLES_DDL = `
  CREATE TYPE mood AS ENUM ('good', 'bad');
  CREATE DOMAIN short AS text CHECK (length(VALUE) < 10);
  CREATE TABLE samples (
    tenant_id uuid NOT NULL, id uuid NOT NULL,
    c_text text, c_varchar varchar(40), c_char char(5), c_integer integer, c_smallint smallint, c_bigint bigint,
    c_numeric numeric, c_money numeric(12, 2), c_real real, c_double double precision, c_boolean boolean,
    c_date date, c_timestamp timestamp, c_moment timestamptz, c_second timestamptz(0), c_time time,
    c_interval interval, c_uuid uuid, c_json json, c_jsonb jsonb, c_bytea bytea, c_texts text[],
    c_integers integer[], c_bigints bigint[], c_uuids uuid[], c_moments timestamptz[], c_mood mood, c_short short,
    c_inet inet, c_point point, "order" integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id)
  );
  SELECT public.freehold_protect('public.samples')`

const TEXTS = ["''", "' '", "'null'", "'ünï ☃ 🙂'", `E'"quoted" \\\\ back\\nline\\ttab\\x01\\u2028'`]

/** SQL of values by column. A column without values here has none worth a row of its own. */
export const EDGES: Readonly<Record<string, readonly string[]>> = {
  c_text: [...TEXTS, "repeat('large ☃', 100000)"],
  c_varchar: [...TEXTS, "repeat('x', 40)"],
  c_char: ["''", "'ab'", "'abcde'"],
  c_integer: ['0', '-1', '2147483647', '-2147483648'],
  c_smallint: ['0', '32767', '-32768'],
  c_bigint: ['0', '9007199254740991', '-9007199254740991', '9007199254740992', '-9223372036854775808'],
  c_numeric: [
    ...['0', '0.10', '-12.3400', '1e40', '1e-20', '12345678901234567890.12345678901234567890'],
    ...["'NaN'", "'Infinity'", "'-Infinity'"],
  ],
  c_money: ['0', '0.5', '-1234567890.12', "'NaN'"],
  c_real: ['0', "'-0'", '0.1', '1e30', '1.17549435e-38', "'NaN'", "'Infinity'", "'-Infinity'"],
  c_double: [
    ...['0', "'-0'", '0.1', '1e300', '5e-324', '123456789012345678', '0.30000000000000004'],
    ...["'NaN'", "'Infinity'", "'-Infinity'"],
  ],
  c_boolean: ['true', 'false'],
  c_date: ["'2026-01-31'", "'0044-03-15 BC'", "'9999-12-31'", "'12345-06-07'", "'infinity'", "'-infinity'"],
  c_timestamp: [
    "'2026-01-31 10:00:00'",
    "'2026-01-31 10:00:00.123456'",
    "'0044-03-15 10:00:00 BC'",
    "'infinity'",
  ],
  c_moment: [
    "'2026-01-31 10:00:00Z'",
    "'2026-01-31 10:00:00.5+02'",
    "'2026-12-31 23:59:59.999999Z'",
    "'0044-03-15 10:00:00Z BC'",
    "'0001-01-01 00:00:00Z'",
    "'9999-12-31 23:59:59Z'",
    "'12345-06-07 08:09:10Z'",
    "'infinity'",
    "'-infinity'",
  ],
  c_second: ["'2026-01-31 10:00:00.5Z'"],
  c_time: ["'00:00'", "'23:59:59.999999'", "'24:00'"],
  c_interval: ["'0'", "'1 year 2 mons -3 days 04:05:06.789'", "'-00:00:00.000001'"],
  c_uuid: ["'00000000-0000-0000-0000-000000000000'", "'FFFFFFFF-FFFF-4FFF-BFFF-FFFFFFFFFFFF'"],
  c_json: [`'{ "b" : 1,  "a": [ 1.0, 1e2 ] }'`, "'null'", `'"text"'`, "'[]'", "'12345678901234567890'"],
  c_jsonb: [
    `'{"b": 1, "a": [1.50, null, true, "ü☃🙂", {"": {}}]}'`,
    "'null'",
    `'"text"'`,
    "'[]'",
    "'{}'",
    "'1e400'",
    "'12345678901234567890'",
    `'{"escaped": "\\u0001\\n\\"\\\\"}'`,
    "jsonb_build_object('long', repeat('x', 50000))",
    `'{"__proto__": {"polluted": true}, "constructor": 1}'`,
  ],
  c_bytea: ["''", "'\\x00ff80'", "decode(repeat('ab', 10000), 'hex')"],
  c_texts: [
    `ARRAY['a', NULL, '', 'NULL', '"', '\\', ',{}', 'ü☃🙂']`,
    "'{}'",
    "ARRAY[['a', 'b'], ['c', 'd']]",
  ],
  c_integers: ['ARRAY[1, NULL, -2147483648]', "'{}'", "'[2:3]={1,2}'"],
  c_bigints: ['ARRAY[9007199254740993, NULL, 0]'],
  c_uuids: ["ARRAY['ffffffff-ffff-4fff-bfff-ffffffffffff', NULL]::uuid[]"],
  c_moments: ["ARRAY['2026-01-31 10:00:00.5Z', 'infinity', NULL]::timestamptz[]"],
  c_mood: ["'good'", "'bad'"],
  c_short: ["'short'", "''"],
  c_inet: ["'10.0.0.1'", "'2001:db8::/32'"],
  c_point: ["'(1,-2.5)'", "'(NaN,Infinity)'"],
}

const object = () => Type.Optional(Type.Object({}, { additionalProperties: true }))
const list = () => Type.Optional(Type.Array(Type.Unsafe<unknown>({})))
const of = <Schema extends TSchema>(schema: Schema) => Type.Optional(schema)

export const sampleResource = defineResource({
  name: 'samples',
  title: 'Sample',
  permission: 'samples',
  table: samples,
  methods: [],
  fields: {
    cText: of(Type.String()),
    cVarchar: of(Type.String()),
    cChar: of(Type.String()),
    cInteger: of(Type.Integer()),
    cSmallint: of(Type.Integer()),
    cBigint: of(Type.Integer()),
    cNumeric: of(Type.String()),
    cMoney: of(Type.String()),
    cReal: of(Type.Number()),
    cDouble: of(Type.Number()),
    cBoolean: of(Type.Boolean()),
    cDate: of(Type.String()),
    cTimestamp: of(Type.String()),
    cMoment: of(Type.String()),
    cSecond: of(Type.String()),
    cTime: of(Type.String()),
    cInterval: object(),
    cUuid: of(Type.String()),
    cJson: object(),
    cJsonb: object(),
    cBytea: object(),
    cTexts: list(),
    cIntegers: list(),
    cBigints: list(),
    cUuids: list(),
    cMoments: list(),
    cMood: of(Type.String()),
    cShort: of(Type.String()),
    cInet: of(Type.String()),
    cPoint: object(),
    order: Type.Integer(),
  },
  filters: [
    'cText',
    'cVarchar',
    'cChar',
    'cInteger',
    'cSmallint',
    'cNumeric',
    'cBoolean',
    'cDate',
    'cMoment',
    'cUuid',
    'cMood',
  ],
  sorts: ['order', 'createdAt'],
})
