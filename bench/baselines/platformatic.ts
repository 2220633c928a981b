/**
 * Platformatic's entities (`@platformatic/sql-mapper`) on the same table, with the tenant in each condition and without
 * row-level security. Its packages are heavy, so they are not ours: PLATFORMATIC names the folder where they are installed.
 */
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { newId } from '../../src/lib/ids.ts'
import { type Place, serve } from './service.ts'
import { onlyRow } from './statements.ts'

type Where = Readonly<Record<string, { readonly eq: unknown }>>

interface Entity {
  find(query: { where: Where; limit?: number; orderBy?: readonly object[] }): Promise<Place[]>
  insert(query: { inputs: readonly object[] }): Promise<Place[]>
  updateMany(query: { where: Where; input: object }): Promise<Place[]>
}

interface Mapper {
  connect(options: object): Promise<{ entities: { appPlace: Entity } }>
}

const { DATABASE_URL = '', POOL_SIZE = '10', PLATFORMATIC = '' } = process.env
const silent = { trace() {}, debug() {}, info() {}, warn() {}, error() {} }

async function connect(): Promise<Entity> {
  const found = createRequire(resolve(PLATFORMATIC, 'package.json')).resolve('@platformatic/sql-mapper')
  const mapper = (await import(pathToFileURL(found).href)) as Mapper
  const { entities } = await mapper.connect({
    ...{ connectionString: DATABASE_URL, poolSize: Number(POOL_SIZE), log: silent },
    ...{ schema: ['app'], autoTimestamp: true },
  })
  // Named after the schema and the table.
  return entities.appPlace
}

const entity = await connect()
const one = (tenantId: string, id: string): Where => ({ tenantId: { eq: tenantId }, id: { eq: id } })

await serve({
  find: async (tenantId, id) => (await entity.find({ where: one(tenantId, id), limit: 1 }))[0],
  list: (tenantId, limit) =>
    entity.find({
      ...{ where: { tenantId: { eq: tenantId } }, limit },
      orderBy: [
        { field: 'createdAt', direction: 'asc' },
        { field: 'id', direction: 'asc' },
      ],
    }),
  insert: async (tenantId, place) =>
    onlyRow(await entity.insert({ inputs: [{ ...place, tenantId, id: newId() }] })),
  update: async (tenantId, id, changes) =>
    (await entity.updateMany({ where: one(tenantId, id), input: changes }))[0],
})
