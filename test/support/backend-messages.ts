// The bytes of PostgreSQL's protocol, for fake servers.

/** The object id of the type. */
export const TEXT = 25

export interface Column {
  readonly name: string
  readonly value: string | null
}

export function message(type: string, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([Buffer.from(type), int32(body.length + 4), body])
}

export function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return bytes
}

export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

export function zeroEnded(value: string): Buffer {
  return Buffer.from(`${value}\0`)
}

export function ready(): Buffer {
  return message('Z', Buffer.from('I'))
}

/** A result of text columns and one row: description, row, completion. */
export function row(columns: readonly Column[]): Buffer[] {
  return [
    described(columns.map(({ name }) => [name, TEXT])),
    dataRow(...columns.map(({ value }) => value)),
    message('C', zeroEnded('SELECT 1')),
  ]
}

export function described(
  columns: readonly (readonly [name: string, oid: number, format?: number])[],
): Buffer {
  const fields = columns.map(([name, oid, format = 0]) =>
    Buffer.concat([zeroEnded(name), int32(0), int16(0), int32(oid), int16(-1), int32(-1), int16(format)]),
  )
  return message('T', int16(columns.length), ...fields)
}

export function dataRow(...values: (string | null)[]): Buffer {
  const parts = values.flatMap((value) => {
    if (value === null) return [int32(-1)]
    const bytes = Buffer.from(value)
    return [int32(bytes.length), bytes]
  })
  return message('D', int16(values.length), ...parts)
}

export function refusal(fields: readonly string[]): Buffer {
  return message('E', ...fields.map(zeroEnded), Buffer.alloc(1))
}

/** The message with another length than it has. */
export function withLength(whole: Buffer, length: number): Buffer {
  const changed = Buffer.from(whole)
  changed.writeInt32BE(length, 1)
  return changed
}
