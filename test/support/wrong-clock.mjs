/** For `node --import`: simulates a machine whose wall clock is ahead by `WRONG_CLOCK_MS`. Durations are not changed. */
const aheadMs = Number(process.env.WRONG_CLOCK_MS)
const Right = Date

globalThis.Date = class extends Right {
  constructor(...parts) {
    if (parts.length === 0) super(Right.now() + aheadMs)
    else super(...parts)
  }

  static now() {
    return Right.now() + aheadMs
  }
}
