/** The public API of the package. */

export { problem } from './application/own-errors.ts'
// `export *`, because a module augmentation of `freehold` works only for types that are exported this way.
export * from './application/register.ts'
export { referenceTable, tenantTable } from './application/tenant-table.ts'
export {
  type Application,
  type ApplicationDb,
  ApplicationError,
  type ApplicationJob,
  defineApplication,
  type EachOutcome,
  type Gateway,
  type Health,
  type JobContext,
  type Principal,
  type Scope,
  type ScopePlugin,
  type Tenant,
  type TenantOptions,
  type Tenants,
} from './application.ts'
export { defineResource, type Resource } from './collections/define-resource.ts'
export { etagOf, matchesNone, parseIfMatch } from './collections/etag.ts'
export type { Row, Tagged } from './collections/model.ts'
export { SettingsError } from './config/environment.ts'
export { PublicError } from './errors.ts'
export { createGateway } from './gateway/create-gateway.ts'
export { type FreeholdOptions, freehold, freeholdApi } from './gateway/plugins.ts'
export { StartRefusedError } from './gateway/start/start-refusals.ts'
export {
  cents,
  choice,
  country,
  currency,
  day,
  email,
  example,
  int4 as integer,
  moment,
  nullable,
  number,
  optional,
  parts,
  phone,
  sha256,
  text,
  uuid,
  uuids,
} from './lib/fields.ts'
export { Turns } from './lib/turns.ts'
export { users } from './residence/tables.ts'
