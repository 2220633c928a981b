/** What a product is made of, in the order in which its developer meets it. */
export {
  type Application,
  type ApplicationDb,
  ApplicationError,
  defineApplication,
  type Register,
} from './application.ts'
export { defineResource, type Resource } from './collections/define-resource.ts'
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
export { referenceTable, tenantTable } from './tables/tenant-table.ts'
export { users } from './tenant/schema.ts'
