/** Far beyond any count of moves, and far below what a number holds exactly: there must always be a next one. */
const MAX_EPOCH = 2 ** 52

/** An epoch as a database writes it; null for a text that is none, or is so high that none would be above it. */
export function parseEpoch(text: string): number | null {
  const epoch = /^\d{1,19}$/.test(text) ? Number(text) : Number.NaN
  return epoch <= MAX_EPOCH ? epoch : null
}
