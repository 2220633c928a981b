import type { PhysicalIdentity, ServerAddress } from '../lib/postgres/pg.ts'

/** A database of the gateway itself. `learn` gets its identity at the start; after that no other database is accepted. */
export class KnownDatabase {
  readonly address: ServerAddress
  /** The address with the role that owns the tables. Null if the serving role owns them. */
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
