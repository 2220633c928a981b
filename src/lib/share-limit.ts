export interface ShareLimitOptions {
  /** How many callers may work at once. */
  readonly max: number
  /** How many callers of one share may work at once. */
  readonly maxOfShare: number
}

/** Limits how many callers may work at once: in total, and of each share (of one tenant, for example). */
export class ShareLimit {
  readonly #options: ShareLimitOptions
  readonly #ofShare = new Map<string, number>()
  #total = 0

  constructor(options: ShareLimitOptions) {
    this.#options = options
  }

  /** False if there is no room. Then nothing is counted. */
  tryEnter(share: string): boolean {
    const { max, maxOfShare } = this.#options
    const ofShare = this.#ofShare.get(share) ?? 0
    if (this.#total >= max || ofShare >= maxOfShare) return false
    this.#total += 1
    this.#ofShare.set(share, ofShare + 1)
    return true
  }

  leave(share: string): void {
    this.#total -= 1
    const left = (this.#ofShare.get(share) ?? 1) - 1
    if (left > 0) this.#ofShare.set(share, left)
    else this.#ofShare.delete(share)
  }
}
