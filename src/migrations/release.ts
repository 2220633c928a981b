import type { Lineage, Migration } from './files.ts'

/** A replica of 0.1 does not know that runs have waves, and would end a run with its last job of one wave. */
const WAVES = 'migration-run:waves'

/**
 * The tenant migrations of this release, of both lineages. The start of the gateway reads the files and sets them here. A job that
 * this process queues names the last migration of each lineage, so that no replica of an older release claims it.
 */
export class Release {
  #migrations: readonly Migration[] = []

  setMigrations(migrations: readonly Migration[]): void {
    this.#migrations = migrations
  }

  get migrations(): readonly Migration[] {
    return this.#migrations
  }

  /** The migrations that a replica must know to migrate a database to this release. */
  get needs(): readonly string[] {
    return (['core', 'application'] as const).flatMap((lineage) => {
      const last = lastOf(this.#migrations, lineage)
      return last === null ? [] : [nameOf(last)]
    })
  }

  /** The schema version of a database where all of them are applied. */
  get target(): { readonly core: string | null; readonly application: string | null } {
    const last = (lineage: Lineage) => lastOf(this.#migrations, lineage)?.id ?? null
    return { core: last('core'), application: last('application') }
  }

  /** What a replica must know to take a job of a run to this release. */
  get runNeeds(): readonly string[] {
    return [...this.needs, WAVES]
  }

  /** All migrations that a replica of this release knows, and how runs work. */
  get knows(): readonly string[] {
    return [...this.#migrations.map(nameOf), WAVES]
  }
}

function lastOf(migrations: readonly Migration[], lineage: Lineage): Migration | null {
  return migrations.findLast((each) => each.lineage === lineage) ?? null
}

function nameOf({ lineage, id }: Migration): string {
  return `migration:${lineage}/${id}`
}
