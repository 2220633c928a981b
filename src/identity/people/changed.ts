/** The result of a change, and the number of its row in the change log, to wait for. Null if it has no row. */
export interface Changed<T> {
  readonly result: T
  readonly seq: number | null
}
