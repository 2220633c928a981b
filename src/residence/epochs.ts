/** No tenant moves so often. It is far below the largest exact number, so there is always a next epoch. */
const MAX_EPOCH = 2 ** 52

/** Parses an epoch from a database. Null if the text is no epoch, or above `MAX_EPOCH`. */
export function parseEpoch(text: string): number | null {
  const epoch = /^\d{1,19}$/.test(text) ? Number(text) : Number.NaN
  return epoch <= MAX_EPOCH ? epoch : null
}
