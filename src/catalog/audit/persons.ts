import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { and, asc, eq, gt, inArray, isNull, lte } from 'drizzle-orm'
import { type Binding, SealBrokenError, UnknownKeyError } from '../../crypto/envelope.ts'
import type { DataKey } from '../../crypto/keyring.ts'
import { type CatalogStore, type CatalogTx, catalogErrors } from '../store.ts'
import type { Vault } from '../vault.ts'
import { auditLog, auditPersons, auditPersonsUnsealed } from './schema.ts'

/** The value in a row of the audit log for a personal field that `audit_persons` stores. */
export const PERSONAL_MARK = '[personal]'
/** What readers get instead if the person or the tenant was deleted. */
export const ERASED = '[erased]'

type Fields = Record<string, unknown>
interface Sides {
  readonly before?: Fields
  readonly after?: Fields
}

/** The part of an audit record that decides which fields are personal. */
interface RecordContent extends Sides {
  readonly action: string
  readonly tenantId: string | null
}

/** The sealed personal fields of a row. The row itself stores their commitment. */
interface SealedPerson {
  readonly commitment: Buffer
  readonly stored: typeof auditPersons.$inferInsert
}

export interface SeparatedRecord extends Sides {
  readonly person: SealedPerson | null
  /** The person that the recorded change deletes. All personal fields of this person are deleted too. */
  readonly deleted: { readonly personId: string; readonly tenantId: string | null } | null
}

const ABOUT_PEOPLE = /^(?:user|account|membership)\./
const DELETIONS: readonly string[] = ['user.delete', 'account.delete']
const PERSONAL: readonly string[] = ['email', 'username', 'name', 'taxNumber']
const SALT_BYTES = 32

/** True if a record of this action may hold fields of a person, so that it needs a key. */
export function isAboutPeople(action: string): boolean {
  return ABOUT_PEOPLE.test(action)
}

/** The tenant whose data key seals the personal fields of a record. Null is the service: accounts belong to no tenant. */
export function personKeyOwner({
  action,
  tenantId,
}: Pick<RecordContent, 'action' | 'tenantId'>): string | null {
  return action.startsWith('user.') ? tenantId : null
}

/**
 * Separates the personal fields of a record, sealed, from the fields that its row may show. `rowId` is the id of the row in the
 * audit log.
 * @throws Error for personal fields without a key: they must not be written unsealed
 */
export function separatePersons(
  record: RecordContent,
  rowId: string,
  key: DataKey | null | undefined,
): SeparatedRecord {
  const { action, before, after } = record
  const { userId, accountId } = { ...before, ...after }
  const personId = userId ?? accountId
  if (!isAboutPeople(action) || typeof personId !== 'string') return { ...sides({ before, after }), ...NONE }
  const isDeletion = DELETIONS.includes(action)
  // Null is a key that does not open. The change is recorded nevertheless, without the person's fields.
  const marker = isDeletion || key === null ? ERASED : PERSONAL_MARK
  const shown = sides({ before: masked(before, marker), after: masked(after, marker) })
  if (isDeletion) return { ...shown, person: null, deleted: { personId, tenantId: personKeyOwner(record) } }
  if (key === null) return { ...shown, ...NONE }
  const values = sides({ before: personalOf(before), after: personalOf(after) })
  if (Object.keys(values).length === 0) return { ...shown, ...NONE }
  if (key === undefined) throw new Error('personal fields of an audit record need a key')
  const tenantId = personKeyOwner(record)
  const salt = randomBytes(SALT_BYTES)
  const person = sealPerson({ auditId: rowId, personId, tenantId, salt, fields: JSON.stringify(values) }, key)
  return { ...shown, person, deleted: null }
}

const NONE = { person: null, deleted: null } as const

function sides({ before, after }: { before: Fields | undefined; after: Fields | undefined }): Sides {
  return { ...(before !== undefined && { before }), ...(after !== undefined && { after }) }
}

function isPersonal(name: string, value: unknown): boolean {
  return PERSONAL.includes(name) && value !== null && value !== undefined
}

function masked(fields: Fields | undefined, marker: string): Fields | undefined {
  if (fields === undefined) return undefined
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, isPersonal(name, value) ? marker : value]),
  )
}

function personalOf(fields: Fields | undefined): Fields | undefined {
  const found = Object.entries(fields ?? {}).filter(([name, value]) => isPersonal(name, value))
  return found.length === 0 ? undefined : Object.fromEntries(found)
}

type Unsealed = typeof auditPersonsUnsealed.$inferSelect

/** The salt is sealed with the fields. Without the salt, guessed names cannot be checked against the commitment. */
function sealPerson({ auditId, personId, tenantId, salt, fields }: Unsealed, key: DataKey): SealedPerson {
  const text = JSON.stringify({ salt: salt.toString('base64'), fields })
  const sealed = key.seal('audit-person', text, bindingOf(auditId, tenantId))
  return { commitment: commitmentOf(salt, fields), stored: { auditId, personId, tenantId, sealed } }
}

function commitmentOf(salt: Buffer, fields: string): Buffer {
  return createHash('sha256').update(salt).update(fields, 'utf8').digest()
}

function bindingOf(rowId: string, tenantId: string | null): Binding {
  return { table: 'audit_persons', column: 'sealed', tenantId, rowId, rowVersion: 1 }
}

interface StoredPerson {
  readonly auditId: string
  readonly tenantId: string | null
  readonly sealed: Buffer
  readonly commitment: Buffer | null
}

/** The personal fields of a row; null if they do not open or do not match the row's commitment. */
function openPerson({ auditId, tenantId, sealed, commitment }: StoredPerson, key: DataKey): Sides | null {
  try {
    const text = key.open('audit-person', sealed, bindingOf(auditId, tenantId)).toString('utf8')
    const { salt, fields } = JSON.parse(text) as { salt: string; fields: string }
    const found = commitmentOf(Buffer.from(salt, 'base64'), fields)
    if (commitment === null || !timingSafeEqual(found, commitment)) return null
    return JSON.parse(fields) as Sides
  } catch (error) {
    if (error instanceof SealBrokenError || error instanceof UnknownKeyError) return null
    throw error
  }
}

const storedColumns = {
  auditId: auditPersons.auditId,
  tenantId: auditPersons.tenantId,
  sealed: auditPersons.sealed,
  commitment: auditLog.commitment,
}

interface ShownRow {
  readonly id: string
  readonly before: Fields | null
  readonly after: Fields | null
  readonly commitment: Buffer | null
}

/** Puts the stored personal fields back into rows of the audit log. Readers see `[erased]` for deleted ones. */
export async function showPersons<T extends ShownRow>(
  store: CatalogStore,
  vault: Pick<Vault, 'dataKey'>,
  rows: readonly T[],
): Promise<T[]> {
  const ids = rows.filter(({ commitment }) => commitment !== null).map(({ id }) => id)
  const opened = ids.length === 0 ? new Map<string, Sides | null>() : await openAll(store, vault, ids)
  return rows.map((row) => {
    const values = opened.get(row.id)
    return { ...row, before: filled(row.before, values?.before), after: filled(row.after, values?.after) }
  })
}

function filled(fields: Fields | null, values: Fields | undefined): Fields | null {
  if (fields === null) return null
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => {
      return [name, value === PERSONAL_MARK && PERSONAL.includes(name) ? (values?.[name] ?? ERASED) : value]
    }),
  )
}

async function openAll(
  store: CatalogStore,
  vault: Pick<Vault, 'dataKey'>,
  ids: readonly string[],
): Promise<Map<string, Sides | null>> {
  const query = store.db.select(storedColumns).from(auditPersons)
  const rows = await catalogErrors(
    query
      .innerJoin(auditLog, eq(auditLog.id, auditPersons.auditId))
      .where(inArray(auditPersons.auditId, [...ids])),
  )
  return openRows(vault, rows)
}

async function openRows(
  vault: Pick<Vault, 'dataKey'>,
  rows: readonly StoredPerson[],
): Promise<Map<string, Sides | null>> {
  const opened = new Map<string, Sides | null>()
  for (const row of rows) {
    const key = await keyOf(vault, row.tenantId)
    opened.set(row.auditId, key && openPerson(row, key))
  }
  return opened
}

/** The data key; null if it does not open. Values that are sealed with it are then lost. */
export async function keyOf(vault: Pick<Vault, 'dataKey'>, tenantId: string | null): Promise<DataKey | null> {
  try {
    return await vault.dataKey(tenantId)
  } catch (error) {
    if (error instanceof SealBrokenError || error instanceof UnknownKeyError) return null
    throw error
  }
}

/** Stores the personal fields of new rows and deletes those of deleted people. Call it in the transaction of the rows. */
export async function storePersons(
  tx: Pick<CatalogTx, 'insert' | 'delete'>,
  records: readonly SeparatedRecord[],
): Promise<void> {
  const stored = records.flatMap(({ person }) => (person === null ? [] : [person.stored]))
  const deletions = records.flatMap(({ deleted }) => (deleted === null ? [] : [deleted]))
  if (stored.length > 0) await tx.insert(auditPersons).values(stored)
  // The id comes from a tenant's own database, so it may be the id of another tenant's person.
  for (const { personId, tenantId } of deletions) {
    const owner = tenantId === null ? isNull(auditPersons.tenantId) : eq(auditPersons.tenantId, tenantId)
    await tx.delete(auditPersons).where(and(eq(auditPersons.personId, personId), owner))
  }
}

const CHUNK = 500
const FIRST = '00000000-0000-0000-0000-000000000000'

/** The first row up to `lastSeq` whose stored personal fields do not match its commitment; null if there is none. */
export async function firstForgedPerson(
  store: CatalogStore,
  vault: Pick<Vault, 'dataKey'>,
  lastSeq: number,
): Promise<number | null> {
  const { seq } = auditLog
  for (let after = 0; ; ) {
    const query = store.db
      .select({ ...storedColumns, seq })
      .from(auditPersons)
      .innerJoin(auditLog, eq(auditLog.id, auditPersons.auditId))
      .where(and(gt(seq, after), lte(seq, lastSeq)))
      .orderBy(asc(seq))
      .limit(CHUNK)
    const rows = await catalogErrors(query)
    const opened = await openRows(vault, rows)
    const forged = rows.find(({ auditId }) => opened.get(auditId) === null)
    if (forged !== undefined) return forged.seq
    const last = rows.at(-1)
    if (last === undefined || rows.length < CHUNK) return null
    after = last.seq
  }
}

/**
 * Seals the personal fields that a migration took out of older rows. Several replicas may run it at once. Returns how many rows it
 * sealed. Rows of a tenant whose key does not open stay for the next start.
 * @throws PublicError CATALOG_UNAVAILABLE
 */
export async function sealFormerPersons(store: CatalogStore, vault: Pick<Vault, 'dataKey'>): Promise<number> {
  for (let sealed = 0, after = FIRST; ; ) {
    const query = store.db
      .select()
      .from(auditPersonsUnsealed)
      .where(gt(auditPersonsUnsealed.auditId, after))
      .orderBy(auditPersonsUnsealed.auditId)
      .limit(CHUNK)
    const rows = await catalogErrors(query)
    if (rows.length === 0) return sealed
    const persons: SealedPerson[] = []
    // Before the transaction, because the first use of a key needs another connection.
    for (const row of rows) {
      // One tenant's broken key must not prevent the start of the service.
      const key = await keyOf(vault, row.tenantId)
      if (key !== null) persons.push(sealPerson(row, key))
    }
    after = rows.at(-1)?.auditId ?? after
    await store.transaction(async (tx) => {
      const ids = persons.map(({ stored }) => stored.auditId)
      const taken = await tx
        .delete(auditPersonsUnsealed)
        .where(inArray(auditPersonsUnsealed.auditId, ids))
        .returning({ auditId: auditPersonsUnsealed.auditId })
      const mine = new Set(taken.map(({ auditId }) => auditId))
      const stored = persons.map((person) => person.stored).filter(({ auditId }) => mine.has(auditId))
      if (stored.length > 0) await tx.insert(auditPersons).values(stored)
    })
    sealed += persons.length
  }
}
