import type { OpenedTarget } from '../../catalog/databases/credentials.ts'
import { greet } from '../../lib/postgres/database-identity.ts'
import type { GuardedClient } from '../../lib/postgres/guarded-client.ts'
import type { AddressBook } from '../../pools/addresses.ts'
import type { ConnectionBudget } from '../../pools/budget.ts'
import { withCheckConnection } from '../check-connection.ts'
import { readFacts, versionIn } from '../checks.ts'
import { CheckFailure } from '../failures.ts'

export interface CheckServerDeps {
  readonly addresses: Pick<AddressBook, 'administratorAddressOf'>
  readonly budget: ConnectionBudget
}

export interface CheckedServer {
  readonly target: OpenedTarget
  readonly caCertificate: string | null
  /** The server that was found before; null if it is not known, or if there was none. */
  readonly systemIdentifier: string | null
}

const TIMEOUT_MS = 5_000
const IS_SUPERUSER =
  'The role is a superuser, or a member of one; give a role that has no more than CREATEDB and CREATEROLE'
const IS_ANOTHER_SERVER = 'Another server answers at this address; add it as a server of its own'

/** A membership in a superuser counts, because such a role can become it. */
const RIGHTS = `
SELECT r.rolcreatedb AS "createsDatabases", r.rolcreaterole AS "createsRoles",
       EXISTS (SELECT FROM pg_catalog.pg_roles s
                WHERE s.rolsuper AND (pg_catalog.pg_has_role(current_user, s.oid, 'MEMBER')
                                   OR pg_catalog.pg_has_role(session_user, s.oid, 'MEMBER'))) AS "isSuperuser"
  FROM pg_catalog.pg_roles r WHERE r.rolname = current_user`

interface Rights {
  readonly createsDatabases: boolean
  readonly createsRoles: boolean
  readonly isSuperuser: boolean
}

/**
 * Connects to a server as its administrator and checks the version, the rights, and that it is the same server as before. Returns
 * the server's own identifier, or null if the server does not show it.
 * @throws CheckFailure; NoAdmissionError; errors of connecting (see `classify`)
 */
export function checkServer(
  { addresses, budget }: CheckServerDeps,
  { target, caCertificate, systemIdentifier: known }: CheckedServer,
): Promise<string | null> {
  const connection = {
    address: addresses.administratorAddressOf(target, caCertificate),
    ...{ connectTimeoutMs: TIMEOUT_MS, statementTimeoutMs: TIMEOUT_MS, checksTimeoutMs: TIMEOUT_MS },
  }
  return withCheckConnection(budget, connection, async (client) => {
    const { isPooled, identity } = await greet(client)
    // Behind a pooler, CREATE DATABASE and the role's own settings may reach another session.
    if (isPooled) throw new CheckFailure('POOLER_UNSUPPORTED')
    const facts = await readFacts(client)
    versionIn(facts)
    await checkRights(client)
    const { systemIdentifier: found } = identity
    if (known !== null && found !== null && known !== found)
      throw new CheckFailure('IDENTITY_MISMATCH', undefined, IS_ANOTHER_SERVER)
    if (facts.isReadOnly) throw new CheckFailure('READ_ONLY')
    return found
  })
}

async function checkRights(client: GuardedClient): Promise<void> {
  const { rows } = await client.query<Rights>(RIGHTS)
  const [rights] = rows
  if (rights === undefined) throw new CheckFailure('UNKNOWN')
  if (rights.isSuperuser) throw new CheckFailure('ROLE_BYPASSES_RLS', undefined, IS_SUPERUSER)
  const missing = [rights.createsDatabases ? [] : 'CREATEDB', rights.createsRoles ? [] : 'CREATEROLE'].flat()
  if (missing.length === 0) return
  throw new CheckFailure('PERMISSION_MISSING', undefined, `The role lacks ${missing.join(' and ')}`)
}
