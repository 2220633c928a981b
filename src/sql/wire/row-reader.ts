import { ProtocolViolation } from '../../lib/wire/backend-messages.ts'

/** A row by the names of its columns. */
export type WireRow = Record<string, unknown>

/** A column as the server has described it, and how its text is read. */
export interface WireColumn {
  readonly name: string
  readonly read: (text: string) => unknown
}

/** Bytes before the first value of a row: the number of values. */
const COUNT_BYTES = 2

/** Reads the rows of a statement whose columns were described. */
export class RowReader {
  readonly #columns: readonly WireColumn[]
  /** Copied for each row, because an object that has all its fields from the start is made faster. */
  readonly #blank: WireRow

  constructor(columns: readonly WireColumn[]) {
    this.#columns = columns
    this.#blank = Object.fromEntries(columns.map(({ name }) => [name, null]))
  }

  /**
   * Reads a DataRow whose body was checked against the columns.
   * @throws ProtocolViolation if a value cannot be read
   */
  read(body: Buffer, start: number, end: number): WireRow {
    const row = { ...this.#blank }
    // Decoding each value costs more than decoding all at once.
    const whole = body.toString('utf8', start, end)
    const isAscii = whole.length === end - start
    let at = start + COUNT_BYTES
    for (const { name, read } of this.#columns) {
      const size = body.readInt32BE(at)
      at += 4
      if (size < 0) continue
      const text = isAscii
        ? whole.substring(at - start, at - start + size)
        : body.toString('utf8', at, at + size)
      row[name] = readValue(read, text)
      at += size
    }
    return row
  }
}

/** The parser's own error would hold the value. */
function readValue(read: WireColumn['read'], text: string): unknown {
  try {
    return read(text)
  } catch {
    throw new ProtocolViolation('a value that its type cannot have')
  }
}
