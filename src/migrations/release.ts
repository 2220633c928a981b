import type { Lineage, Migration } from './files.ts'

/**
 * The tenant migrations that this release of the gateway brings along, of both lineages. They are known once the files
 * have been read. A job that was asked for here names the last of each, so that no replica of an older release takes it.
 */
export class Release {
  #migrations: readonly Migration[] = []

  learn(migrations: readonly Migration[]): void {
    this.#migrations = migrations
  }

  get migrations(): readonly Migration[] {
    return this.#migrations
  }

  /** What a replica must know to bring a database as far as this release does. */
  get needs(): readonly string[] {
    return (['core', 'application'] as const).flatMap((lineage) => {
      const last = lastOf(this.#migrations, lineage)
      return last === null ? [] : [nameOf(last)]
    })
  }

  /** What a database has when all of them are applied. */
  get target(): { readonly core: string | null; readonly application: string | null } {
    const last = (lineage: Lineage) => lastOf(this.#migrations, lineage)?.id ?? null
    return { core: last('core'), application: last('application') }
  }

  /** All that a replica of this release knows. */
  get knows(): readonly string[] {
    return this.#migrations.map(nameOf)
  }
}

function lastOf(migrations: readonly Migration[], lineage: Lineage): Migration | null {
  return migrations.findLast((each) => each.lineage === lineage) ?? null
}

function nameOf({ lineage, id }: Migration): string {
  return `migration:${lineage}/${id}`
}
