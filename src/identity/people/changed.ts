/** What a change made, and the number of its news in the log of changes, to wait for; null where it has none. */
export interface Changed<T> {
  readonly result: T
  readonly seq: number | null
}
