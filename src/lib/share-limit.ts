export interface ShareLimitOptions {
  /** Who may be in at once. */
  readonly max: number
  /** Of one share. */
  readonly maxOfShare: number
}

/** Counts who is in, in all and of each share (a tenant, say), and has no more enter than may. */
export class ShareLimit {
  readonly #options: ShareLimitOptions
  readonly #ofShare = new Map<string, number>()
  #total = 0

  constructor(options: ShareLimitOptions) {
    this.#options = options
  }

  /** False, and nothing is counted, where there is no room. */
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
