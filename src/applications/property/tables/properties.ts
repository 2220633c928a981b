import { sql } from 'drizzle-orm'
import {
  bigint,
  check,
  date,
  doublePrecision,
  foreignKey,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  text,
  uniqueIndex,
  uuid,
} from 'drizzle-orm/pg-core'
import { tenantTable } from '../../../index.ts'
import { folded, tenantId } from './columns.ts'

export interface Address {
  line1?: string | null
  line2?: string | null
  postalCode?: string | null
  city?: string | null
  country?: string | null
}

/**
 * The indexes serve the lists of the collections. A filter that may match most of a tenant's rows (`kind`, `status`) has an index
 * for each sort order; otherwise the server would read all these rows to answer one page. A filter that matches few rows
 * (`placeId`) has one index.
 */
export const places = tenantTable(
  'places',
  {
    name: text('name').notNull(),
    kind: text('kind').$type<'building' | 'land' | 'parking' | 'other'>(),
    address: jsonb('address').$type<Address>(),
    latitude: doublePrecision('latitude'),
    longitude: doublePrecision('longitude'),
  },
  (t) => [
    index('places_created_idx').on(t.tenantId, t.createdAt, t.id),
    index('places_name_idx').on(t.tenantId, t.name, t.id),
    index('places_kind_idx').on(t.tenantId, t.kind, t.createdAt, t.id),
    index('places_kind_name_idx').on(t.tenantId, t.kind, t.name, t.id),
    check('places_kind_check', sql`${t.kind} in ('building', 'land', 'parking', 'other')`),
    check('places_latitude_check', sql`${t.latitude} between -90 and 90`),
    check('places_longitude_check', sql`${t.longitude} between -180 and 180`),
  ],
)

export const estates = tenantTable(
  'estates',
  {
    placeId: uuid('place_id').notNull(),
    name: text('name').notNull(),
    reference: text('reference'),
    surfaceM2: doublePrecision('surface_m2'),
    floor: integer('floor'),
  },
  (t) => [
    uniqueIndex('estates_reference_key').on(t.tenantId, t.reference),
    index('estates_place_idx').on(t.tenantId, t.placeId, t.id),
    index('estates_created_idx').on(t.tenantId, t.createdAt, t.id),
    index('estates_name_idx').on(t.tenantId, t.name, t.id),
    foreignKey({
      name: 'estates_place_fkey',
      columns: [t.tenantId, t.placeId],
      foreignColumns: [places.tenantId, places.id],
    }),
    check('estates_surface_check', sql`${t.surfaceM2} >= 0`),
  ],
)

export const rooms = tenantTable(
  'rooms',
  {
    estateId: uuid('estate_id').notNull(),
    name: text('name').notNull(),
    kind: text('kind'),
    surfaceM2: doublePrecision('surface_m2'),
  },
  (t) => [
    index('rooms_estate_idx').on(t.tenantId, t.estateId, t.id),
    index('rooms_created_idx').on(t.tenantId, t.createdAt, t.id),
    index('rooms_name_idx').on(t.tenantId, t.name, t.id),
    foreignKey({
      name: 'rooms_estate_fkey',
      columns: [t.tenantId, t.estateId],
      foreignColumns: [estates.tenantId, estates.id],
    }),
    check('rooms_surface_check', sql`${t.surfaceM2} >= 0`),
  ],
)

export const equipment = tenantTable(
  'equipment',
  {
    roomId: uuid('room_id').notNull(),
    name: text('name').notNull(),
    condition: text('condition').$type<'new' | 'good' | 'fair' | 'poor'>(),
    acquiredOn: date('acquired_on', { mode: 'string' }),
  },
  (t) => [
    index('equipment_room_idx').on(t.tenantId, t.roomId, t.id),
    index('equipment_created_idx').on(t.tenantId, t.createdAt, t.id),
    index('equipment_name_idx').on(t.tenantId, t.name, t.id),
    index('equipment_condition_idx').on(t.tenantId, t.condition, t.createdAt, t.id),
    index('equipment_condition_name_idx').on(t.tenantId, t.condition, t.name, t.id),
    foreignKey({
      name: 'equipment_room_fkey',
      columns: [t.tenantId, t.roomId],
      foreignColumns: [rooms.tenantId, rooms.id],
    }),
    check('equipment_condition_check', sql`${t.condition} in ('new', 'good', 'fair', 'poor')`),
  ],
)

export const lessees = tenantTable(
  'lessees',
  {
    kind: text('kind').$type<'person' | 'company'>().notNull(),
    name: text('name').notNull(),
    email: text('email'),
    emailFolded: folded('email'),
    phone: text('phone'),
  },
  (t) => [
    uniqueIndex('lessees_email_key').on(t.tenantId, t.emailFolded),
    index('lessees_created_idx').on(t.tenantId, t.createdAt, t.id),
    index('lessees_name_idx').on(t.tenantId, t.name, t.id),
    index('lessees_kind_idx').on(t.tenantId, t.kind, t.createdAt, t.id),
    index('lessees_kind_name_idx').on(t.tenantId, t.kind, t.name, t.id),
    check('lessees_kind_check', sql`${t.kind} in ('person', 'company')`),
  ],
)

export const owners = tenantTable(
  'owners',
  {
    kind: text('kind').$type<'person' | 'company'>().notNull(),
    name: text('name').notNull(),
    email: text('email'),
    emailFolded: folded('email'),
    phone: text('phone'),
  },
  (t) => [
    uniqueIndex('owners_email_key').on(t.tenantId, t.emailFolded),
    index('owners_created_idx').on(t.tenantId, t.createdAt, t.id),
    index('owners_name_idx').on(t.tenantId, t.name, t.id),
    index('owners_kind_idx').on(t.tenantId, t.kind, t.createdAt, t.id),
    index('owners_kind_name_idx').on(t.tenantId, t.kind, t.name, t.id),
    check('owners_kind_check', sql`${t.kind} in ('person', 'company')`),
  ],
)

export const contacts = tenantTable(
  'contacts',
  {
    name: text('name').notNull(),
    email: text('email'),
    emailFolded: folded('email'),
    phone: text('phone'),
    role: text('role'),
    lesseeId: uuid('lessee_id'),
    ownerId: uuid('owner_id'),
  },
  (t) => [
    index('contacts_lessee_idx').on(t.tenantId, t.lesseeId, t.createdAt, t.id),
    index('contacts_owner_idx').on(t.tenantId, t.ownerId, t.createdAt, t.id),
    index('contacts_created_idx').on(t.tenantId, t.createdAt, t.id),
    index('contacts_name_idx').on(t.tenantId, t.name, t.id),
    index('contacts_email_idx').on(t.tenantId, t.emailFolded, t.createdAt, t.id),
    foreignKey({
      name: 'contacts_lessee_fkey',
      columns: [t.tenantId, t.lesseeId],
      foreignColumns: [lessees.tenantId, lessees.id],
    }),
    foreignKey({
      name: 'contacts_owner_fkey',
      columns: [t.tenantId, t.ownerId],
      foreignColumns: [owners.tenantId, owners.id],
    }),
  ],
)

/**
 * Two leases of one estate must not overlap, unless one is a draft. The constraint `leases_overlap_excl` is in the migration,
 * because drizzle has no exclusion constraints. The API shows `lessee_ids`. A list cannot have foreign keys, so a trigger copies
 * it to `lease_lessees`, which has them.
 */
export const leases = tenantTable(
  'leases',
  {
    estateId: uuid('estate_id').notNull(),
    lesseeIds: uuid('lessee_ids').array().notNull(),
    startsOn: date('starts_on', { mode: 'string' }).notNull(),
    endsOn: date('ends_on', { mode: 'string' }),
    rentCents: bigint('rent_cents', { mode: 'number' }).notNull(),
    currency: text('currency').notNull(),
    depositCents: bigint('deposit_cents', { mode: 'number' }),
    status: text('status').$type<'draft' | 'active' | 'ended'>().notNull().default('draft'),
  },
  (t) => [
    index('leases_estate_idx').on(t.tenantId, t.estateId, t.createdAt, t.id),
    index('leases_status_idx').on(t.tenantId, t.status, t.createdAt, t.id),
    index('leases_status_starts_idx').on(t.tenantId, t.status, t.startsOn, t.id),
    index('leases_created_idx').on(t.tenantId, t.createdAt, t.id),
    index('leases_starts_idx').on(t.tenantId, t.startsOn, t.id),
    foreignKey({
      name: 'leases_estate_fkey',
      columns: [t.tenantId, t.estateId],
      foreignColumns: [estates.tenantId, estates.id],
    }),
    check('leases_lessees_check', sql`cardinality(${t.lesseeIds}) between 1 and 20`),
    check('leases_days_check', sql`${t.endsOn} >= ${t.startsOn}`),
    check('leases_rent_check', sql`${t.rentCents} >= 0`),
    check('leases_deposit_check', sql`${t.depositCents} >= 0`),
    check('leases_currency_check', sql`${t.currency} ~ '^[A-Z]{3}$'`),
    check('leases_status_check', sql`${t.status} in ('draft', 'active', 'ended')`),
  ],
)

export const leaseLessees = pgTable(
  'lease_lessees',
  { tenantId: tenantId(), leaseId: uuid('lease_id').notNull(), lesseeId: uuid('lessee_id').notNull() },
  (t) => [
    primaryKey({ name: 'lease_lessees_pkey', columns: [t.tenantId, t.leaseId, t.lesseeId] }),
    index('lease_lessees_lessee_idx').on(t.tenantId, t.lesseeId),
    foreignKey({
      name: 'lease_lessees_lease_fkey',
      columns: [t.tenantId, t.leaseId],
      foreignColumns: [leases.tenantId, leases.id],
    }).onDelete('cascade'),
    foreignKey({
      name: 'lease_lessees_lessee_fkey',
      columns: [t.tenantId, t.lesseeId],
      foreignColumns: [lessees.tenantId, lessees.id],
    }),
  ],
)

export const charges = tenantTable(
  'charges',
  {
    leaseId: uuid('lease_id').notNull(),
    label: text('label').notNull(),
    amountCents: bigint('amount_cents', { mode: 'number' }).notNull(),
    currency: text('currency').notNull(),
    dueOn: date('due_on', { mode: 'string' }).notNull(),
    status: text('status').$type<'due' | 'paid' | 'cancelled'>().notNull().default('due'),
  },
  (t) => [
    index('charges_lease_idx').on(t.tenantId, t.leaseId, t.createdAt, t.id),
    index('charges_status_idx').on(t.tenantId, t.status, t.createdAt, t.id),
    index('charges_status_due_idx').on(t.tenantId, t.status, t.dueOn, t.id),
    index('charges_created_idx').on(t.tenantId, t.createdAt, t.id),
    index('charges_due_idx').on(t.tenantId, t.dueOn, t.id),
    foreignKey({
      name: 'charges_lease_fkey',
      columns: [t.tenantId, t.leaseId],
      foreignColumns: [leases.tenantId, leases.id],
    }),
    check('charges_currency_check', sql`${t.currency} ~ '^[A-Z]{3}$'`),
    check('charges_status_check', sql`${t.status} in ('due', 'paid', 'cancelled')`),
  ],
)
