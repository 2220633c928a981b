/**
 * A text that must not be printed: a password, a token, a connection string.
 *
 * The text is in a `#private` field, so neither `util.inspect` with `showHidden`, nor a logger that walks
 * own properties, nor a structured clone can read it. Every accidental conversion to text gives `[secret]`.
 */
export class Secret {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  /** The text itself. Call it where the text is used, and do not store the result. */
  reveal(): string {
    return this.#text
  }

  toString(): string {
    return '[secret]'
  }

  toJSON(): string {
    return '[secret]'
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return '[secret]'
  }
}
