import type { PhysicalIdentity, ServerAddress } from '../lib/postgres/pg.ts'

/** A database of the gateway itself. Its identity is read at the start; from then on no other database is accepted. */
export class KnownDatabase {
  readonly address: ServerAddress
  /** As the role that owns its tables. Null if that is the serving role. */
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
