/** What a product is made of, in the order in which its developer meets it. */
export {
  type Application,
  type ApplicationDb,
  ApplicationError,
  defineApplication,
  type EachOutcome,
  type Gateway,
  type Health,
  type Principal,
  type Tenant,
  type Tenants,
} from './application.ts'
export { defineResource, type Resource } from './collections/define-resource.ts'
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
  int4 as integer,
  moment,
  nullable,
  number,
  parts,
  phone,
  sha256,
  text,
  uuid,
  uuids,
} from './lib/fields.ts'
// By star: an augmentation of `freehold` reaches what is exported so, and not what is exported by name.
export * from './register.ts'
export { StartRefusedError } from './startup.ts'
export { referenceTable, tenantTable } from './tables/tenant-table.ts'
export { users } from './tenant/schema.ts'
