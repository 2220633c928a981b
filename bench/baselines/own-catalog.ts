import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { migrationsFolder, readMigrations } from '../../src/migrations/files.ts'

const NONCE_BYTES = 12
const TAG_BYTES = 16
const POOL_SIZE = 10
const PROPERTY_MIGRATIONS = fileURLToPath(new URL('../../tenant-migrations/property', import.meta.url))

const JOURNAL = 'public.freehold_migrations'
export const CATALOG_TABLE = 'CREATE TABLE databases (tenant_id uuid PRIMARY KEY, sealed bytea NOT NULL)'

/** The connection strings of tenants, sealed with one key, as a careful developer would keep them. */
export class OwnCatalog {
  readonly #key: Buffer
  readonly #pool: pg.Pool
  readonly #known = new Map<string, string>()
  #migrations: Promise<string> | null = null

  constructor(url: string, key: Buffer) {
    this.#key = key
    this.#pool = new pg.Pool({ connectionString: url, max: POOL_SIZE })
    this.#pool.on('error', () => undefined)
  }

  async find(tenantId: string): Promise<string> {
    const known = this.#known.get(tenantId)
    if (known !== undefined) return known
    const { rows } = await this.#pool.query({
      ...{ name: 'find', text: 'SELECT sealed FROM databases WHERE tenant_id = $1', values: [tenantId] },
    })
    const url = this.#open(rows[0].sealed as Buffer)
    this.#known.set(tenantId, url)
    return url
  }

  /** Connects to the database, makes its tables if they are missing, and stores the connection string. */
  async register(tenantId: string, connectionString: string): Promise<void> {
    const client = new pg.Client({ connectionString })
    await client.connect()
    try {
      const { rows } = await client.query('SELECT to_regclass($1) IS NOT NULL AS done', [JOURNAL])
      if (rows[0].done !== true) {
        this.#migrations ??= readAll()
        await client.query(`BEGIN; ${await this.#migrations}; COMMIT`)
      }
    } finally {
      await client.end()
    }
    const text = 'INSERT INTO databases (tenant_id, sealed) VALUES ($1, $2)'
    await this.#pool.query(text, [tenantId, this.#seal(connectionString)])
  }

  #seal(url: string): Buffer {
    const nonce = randomBytes(NONCE_BYTES)
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce)
    const sealed = Buffer.concat([cipher.update(url, 'utf8'), cipher.final()])
    return Buffer.concat([nonce, cipher.getAuthTag(), sealed])
  }

  #open(sealed: Buffer): string {
    const text = NONCE_BYTES + TAG_BYTES
    const decipher = createDecipheriv('aes-256-gcm', this.#key, sealed.subarray(0, NONCE_BYTES))
    decipher.setAuthTag(sealed.subarray(NONCE_BYTES, text))
    return Buffer.concat([decipher.update(sealed.subarray(text)), decipher.final()]).toString('utf8')
  }
}

/** The same statements as the gateway runs, from the same files, and the journal that says which ones were run. */
async function readAll(): Promise<string> {
  const core = await readMigrations(migrationsFolder('core'), 'core')
  const migrations = [...core, ...(await readMigrations(PROPERTY_MIGRATIONS, 'application'))]
  const rows = migrations.map(({ lineage, id, hash }) => `('${lineage}', '${id}', '${hash}')`)
  return [
    `CREATE TABLE ${JOURNAL} (lineage text, id text, hash text, PRIMARY KEY (lineage, id))`,
    ...migrations.flatMap(({ statements }) => statements),
    `INSERT INTO ${JOURNAL} VALUES ${rows.join(', ')}`,
  ].join(';\n')
}
