/** Far more than any library wraps; a ring of causes must not be walked for ever. */
const MAX_DEPTH = 5

/** The error itself and what it says it was caused by, from the outside in. Ends at what is no error. */
export function* causesOf(error: unknown): Generator<Error, void> {
  for (let e = error, depth = 0; e instanceof Error && depth < MAX_DEPTH; e = e.cause, depth += 1) yield e
}
