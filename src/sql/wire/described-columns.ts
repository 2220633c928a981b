import { ProtocolViolation } from '../../lib/wire/backend-messages.ts'
import { OID, TYPES } from '../../pools/wire/tenant-unit.ts'
import { RowReader, type WireColumn } from './row-reader.ts'
import type { DeclaredColumn } from './wire-statement.ts'

/** The OIDs of the types that declared columns have, by the type's name without what stands in brackets. */
const OIDS: Readonly<Record<string, number>> = {
  bigint: OID.INT8,
  bigserial: OID.INT8,
  boolean: OID.BOOL,
  bytea: OID.BYTEA,
  char: OID.BPCHAR,
  date: OID.DATE,
  'double precision': OID.FLOAT8,
  integer: OID.INT4,
  json: OID.JSON,
  jsonb: OID.JSONB,
  numeric: OID.NUMERIC,
  real: OID.FLOAT4,
  serial: OID.INT4,
  smallint: OID.INT2,
  smallserial: OID.INT2,
  text: OID.TEXT,
  timestamp: OID.TIMESTAMP,
  'timestamp with time zone': OID.TIMESTAMPTZ,
  uuid: OID.UUID,
  varchar: OID.VARCHAR,
}
/** PostgreSQL compares values of these types as `text`. */
const COMPARED_AS_TEXT = new Set([OIDS.char, OIDS.varchar])

/** The bytes of a column in a RowDescription behind its name. */
const OID_AT = 6
const FORMAT_AT = 16
const FIELD_BYTES = 18

/**
 * Reads the rows with the columns in the body of a RowDescription, which was checked. Null if they are not the declared ones, by
 * name, order and type. A type that is not listed above (an enum, an array, a domain) is read as pg reads it.
 * @throws ProtocolViolation if a column has a format, which is not known before Bind
 */
export function rowReaderFor(
  body: Buffer,
  start: number,
  declared: readonly DeclaredColumn[],
): RowReader | null {
  if (body.readInt16BE(start) !== declared.length) return null
  const columns: WireColumn[] = []
  let at = start + 2
  for (const { name, type } of declared) {
    const zero = body.indexOf(0, at)
    const field = zero + 1
    const oid = body.readUInt32BE(field + OID_AT)
    if (body.readInt16BE(field + FORMAT_AT) !== 0) throw new ProtocolViolation('a column that is not text')
    if (body.toString('utf8', at, zero) !== name || !isOfType(oid, type)) return null
    columns.push({ name, read: TYPES.getTypeParser(oid, 'text') as WireColumn['read'] })
    at = field + FIELD_BYTES
  }
  return new RowReader(columns)
}

/** True if the parameters in the body of a ParameterDescription, which was checked, are the declared ones. */
export function areDeclaredParameters(
  body: Buffer,
  start: number,
  declared: readonly (string | null)[],
): boolean {
  if (body.readUInt16BE(start) !== declared.length) return false
  return declared.every((type, index) => {
    const oid = body.readUInt32BE(start + 2 + 4 * index)
    return type === null || isOfType(oid, type) || (oid === OID.TEXT && COMPARED_AS_TEXT.has(oidOf(type)))
  })
}

/** True also for a type whose OID differs between databases. */
function isOfType(oid: number, type: string): boolean {
  const expected = oidOf(type)
  return expected === undefined || expected === oid
}

function oidOf(type: string): number | undefined {
  return OIDS[type.replace(/\s*\([^)]*\)/, '')]
}
