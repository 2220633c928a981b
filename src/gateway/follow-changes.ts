import type { CatalogChange } from '../catalog/changes/follower.ts'
import { Refresher } from '../lib/refresher.ts'
import type { Logger } from '../logger.ts'
import type { Parts } from './parts/parts.ts'

export interface ChangeHooks {
  readonly log: Logger
  /** Called when there may be a database to validate. */
  readonly onWork: () => void
}

/** Updates the caches when the catalog changes. */
export function followChanges(parts: Parts, { log, onWork }: ChangeHooks): void {
  const { vault, registry, directory } = parts.catalog
  const { clientKeys, operators, signingKeys, revocations, tokens, roleCache } = parts.identity
  const { routeInvalidator } = parts.pools
  const { follower } = parts.changes
  const serviceKeys = new Refresher(
    () => signingKeys.reload().then(() => tokens.clear()),
    (err) => log.error({ err }, 'signing keys not reloaded'),
  )
  const revoked = new Refresher(
    () => revocations.init(),
    (err) => log.error({ err }, 'revocations not reloaded'),
  )
  follower.onChange((change: CatalogChange) => {
    const { kind, tenantId, subjectId } = change
    if (kind === 'database') onWork()
    if (kind === 'client-key' && subjectId !== null) clientKeys.invalidate(subjectId)
    if (kind === 'operator' && subjectId !== null) operators.invalidate(subjectId)
    if (kind === 'signing-key' && tenantId === null) return serviceKeys.request()
    if (kind === 'signing-key' && tenantId !== null) signingKeys.tenants.invalidate(tenantId)
    if (kind === 'tokens') revocations.apply(change)
    if (kind === 'role' && tenantId !== null) roleCache.invalidate(tenantId)
    const concernsRoutes = tenantId !== null && (kind === 'tenant' || kind === 'database')
    return concernsRoutes ? routeInvalidator.forget(tenantId) : null
  })
  follower.onReached(() => {
    directory.confirm()
    for (const refresher of [serviceKeys, revoked]) refresher.retry()
  })
  // Changes were missed, so every cached value may be out of date.
  follower.onGap(() => {
    const caches = [vault, registry, clientKeys, operators, tokens, roleCache, signingKeys.tenants]
    for (const cache of caches) cache.clear()
    revocations.forgetAccounts()
    onWork()
    return Promise.all([routeInvalidator.forgetAll(), serviceKeys.request(), revoked.request()])
  })
}
