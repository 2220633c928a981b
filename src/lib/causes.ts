/** More causes than any library nests. A cycle of causes must not be followed for ever. */
const MAX_DEPTH = 5

/** The error and its causes, from the outside in. Ends at a cause that is not an error. */
export function* causesOf(error: unknown): Generator<Error, void> {
  for (let e = error, depth = 0; e instanceof Error && depth < MAX_DEPTH; e = e.cause, depth += 1) yield e
}
