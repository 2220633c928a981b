/** One protection that is taken away: `find` is exactly once in `file`, and one of `tests` must fail without it. */
export interface SeededFault {
  readonly name: string
  readonly file: string
  readonly find: string
  readonly replace: string
  readonly tests: readonly string[]
}
