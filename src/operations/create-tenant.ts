import type pg from 'pg'
import type { Actor } from '../catalog/audit/entries.ts'
import type { Route } from '../catalog/directory.ts'
import type { ExternalId } from '../catalog/external-ids.ts'
import type { SealOf } from '../catalog/seals.ts'
import type { CatalogStore } from '../catalog/store.ts'
import {
  completeAuthConfig,
  findTenant,
  insertTenant,
  type PartialAuthConfig,
  type Tenant,
} from '../catalog/tenants.ts'
import { removeFormerResidence, stamp } from '../databases/residence.ts'
import { fail, invalidField, isOutcomeUnknown, PublicError } from '../errors.ts'
import { checkFirstRoles, createFirstRoles } from '../identity/access/first-roles.ts'
import type { NewRole } from '../identity/access/roles.ts'
import type { PasswordHasher } from '../identity/login/passwords.ts'
import { createAdmin } from '../identity/people/admins.ts'
import { isName, NAME_RULE } from '../identity/people/names.ts'
import { checkUser } from '../identity/people/user-form.ts'
import { newId } from '../lib/ids.ts'
import type { PoolManager } from '../pools/pool-manager.ts'
import { isOrderly } from '../pools/wire/statement-fault.ts'
import type { TenantSession } from '../sql/session.ts'

type NewAdmin = Readonly<{ email: string; password: string; name?: string }>

export interface NewTenantInput {
  readonly code: string
  readonly name: string
  readonly parentId?: string
  readonly authConfig?: PartialAuthConfig
  readonly externalIds?: readonly ExternalId[]
  readonly admin?: NewAdmin
  readonly roles?: readonly NewRole[]
}

export interface CreateTenantDeps {
  readonly store: CatalogStore
  readonly pools: Pick<PoolManager, 'runAsOwner'>
  readonly sealOf: SealOf
  readonly hasher: PasswordHasher
  /** A session of SQL for a tenant that is not in the catalog yet. */
  readonly sessionFor: (route: Route) => TenantSession
}

const FIRST_EPOCH = 1

/**
 * Creates a tenant in the shared database. Its rows there (stamp, roles, first administrator) are written before its row in the
 * catalog: a crash in between leaves rows that no route leads to, and never a tenant without a database.
 * @throws PublicError TENANT_CODE_TAKEN, EXTERNAL_ID_TAKEN, REFERENCE_NOT_FOUND, VALIDATION_FAILED,
 *   TENANT_DATABASE_UNAVAILABLE, CATALOG_UNAVAILABLE: the tenant was not created; OUTCOME_UNKNOWN: it may have been
 */
export async function createTenant(
  deps: CreateTenantDeps,
  input: NewTenantInput,
  actor: Actor,
): Promise<Tenant> {
  assertName(input.name)
  const route = provisionalRoute(deps, input)
  assertPeople(input, route.authConfig)
  if ((await findTenantByCode(deps.store, input.code)) !== null) throw fail('TENANT_CODE_TAKEN')
  await inSharedDatabase(deps, (client) => stamp(client, route))
  try {
    await createPeople(deps, route, input)
    return await deps.store.transaction((tx) => insertTenant(tx, { ...input, id: route.tenantId }, actor))
  } catch (error) {
    // If the commit may have succeeded, the tenant may exist and need these rows.
    if (!isOutcomeUnknown(error))
      await inSharedDatabase(deps, (client) =>
        removeFormerResidence(client, route.tenantId, FIRST_EPOCH),
      ).catch(() => undefined)
    throw error
  }
}

async function inSharedDatabase(deps: CreateTenantDeps, fn: (client: pg.ClientBase) => Promise<void>) {
  try {
    await deps.pools.runAsOwner(fn, isOrderly)
  } catch (cause) {
    throw cause instanceof PublicError ? cause : fail('TENANT_DATABASE_UNAVAILABLE', { cause })
  }
}

/** If the outcome of these rows is unknown, the caller gets a plain failure: the tenant was not created. */
async function createPeople(deps: CreateTenantDeps, route: Route, { admin, roles }: NewTenantInput) {
  const { hasher, sessionFor } = deps
  const rules = { hasher, policy: route.authConfig.passwordPolicy }
  try {
    if (roles !== undefined && roles.length > 0) await createFirstRoles(sessionFor(route), roles)
    if (admin !== undefined) await createAdmin(sessionFor(route), rules, admin)
  } catch (cause) {
    throw isOutcomeUnknown(cause) ? fail('TENANT_DATABASE_UNAVAILABLE', { cause }) : cause
  }
}

/** @throws PublicError VALIDATION_FAILED if the text cannot be a name */
export function assertName(name: string): void {
  if (!isName(name)) throw invalidField('/name', NAME_RULE)
}

/** Checks the first administrator and the roles before anything is written. */
function assertPeople({ admin, roles = [] }: NewTenantInput, { passwordPolicy }: Route['authConfig']): void {
  const faults = admin === undefined ? [] : checkUser(admin, passwordPolicy)
  const errors = [
    ...faults.map(({ pointer, message }) => ({ pointer: `/admin${pointer}`, message })),
    ...checkFirstRoles(roles, admin !== undefined),
  ]
  if (errors.length > 0) throw fail('VALIDATION_FAILED', { errors })
}

async function findTenantByCode(store: CatalogStore, code: string): Promise<Tenant | null> {
  const tenant = await findTenant(store, code)
  return tenant?.code === code ? tenant : null
}

function provisionalRoute({ sealOf }: CreateTenantDeps, input: NewTenantInput): Route {
  const now = new Date()
  const residence = { tenantId: newId(), epoch: FIRST_EPOCH, placement: 'shared' } as const
  return Object.freeze({
    ...residence,
    seal: sealOf(residence),
    code: input.code,
    name: input.name,
    status: 'ACTIVE',
    parentId: input.parentId ?? null,
    externalIds: [],
    authConfig: completeAuthConfig(input.authConfig ?? {}),
    createdAt: now,
    updatedAt: now,
    database: null,
  })
}
