/** What a product is made of, in the order in which its developer meets it. */
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
export { SettingsError } from './config.ts'
export { createGateway } from './create-gateway.ts'
export { PublicError } from './errors.ts'
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
export { problem } from './own-errors.ts'
export { type FreeholdOptions, freehold, freeholdApi } from './plugins.ts'
// By star: an augmentation of `freehold` reaches what is exported so, and not what is exported by name.
export * from './register.ts'
export { StartRefusedError } from './startup.ts'
export { referenceTable, tenantTable } from './tables/tenant-table.ts'
export { users } from './tenant/schema.ts'
