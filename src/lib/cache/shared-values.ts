import { LRUCache } from 'lru-cache'
import { atMost } from './at-most.ts'

/**
 * Keeps one copy of values that many cached rows have in common, such as host names or equal settings. The database driver makes
 * a new copy for each row. Values that only a few rows have cost at most the memory of `max` entries.
 */
export class SharedValues {
  readonly #texts: LRUCache<string, string>
  readonly #objects: LRUCache<string, object>

  constructor(max: number) {
    this.#texts = new LRUCache(atMost(max))
    this.#objects = new LRUCache(atMost(max))
  }

  /** The kept copy of a text. */
  text<T extends string | null>(text: T): T {
    if (text === null) return text
    const known = this.#texts.get(text)
    if (known !== undefined) return known as T
    this.#texts.set(text, text)
    return text
  }

  /** The kept copy of a value of JSON, frozen with everything in it. */
  json<T extends object | null>(value: T): T {
    if (value === null) return value
    const text = JSON.stringify(value)
    const known = this.#objects.get(text)
    if (known !== undefined) return known as T
    const frozen = freezeAll(value)
    this.#objects.set(text, frozen)
    return frozen
  }
}

function freezeAll<T extends object>(value: T): T {
  for (const part of Object.values(value)) if (typeof part === 'object' && part !== null) freezeAll(part)
  return Object.freeze(value)
}
