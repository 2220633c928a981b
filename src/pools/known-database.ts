import type { PhysicalIdentity, ServerAddress } from '../lib/postgres/pg.ts'

/** A database of our own: which one it is is learnt at the start, and from then on no other will do. */
export class KnownDatabase {
  readonly address: ServerAddress
  /** As the role that owns its tables; null where that is the one that serves. */
  readonly owner: ServerAddress | null
  #identity: PhysicalIdentity | null = null

  constructor(address: ServerAddress, owner: ServerAddress | null) {
    const expected = () => this.#identity
    this.address = { ...address, expected }
    this.owner = owner === null ? null : { ...owner, expected }
  }

  get ownerAddress(): ServerAddress {
    return this.owner ?? this.address
  }

  learn(identity: PhysicalIdentity): void {
    this.#identity = identity
  }
}
