import { randomBytes } from 'node:crypto'
import { Client, Pool, type QueryResultRow } from 'pg'
import { inject } from 'vitest'
import {
  copyStrategy,
  copyTemplate,
  ensureTemplate,
  quote,
  type Superuser,
} from '../../src/testing/templates.ts'
import { runPrefix } from './leftovers.ts'

export interface TestRole {
  readonly name: string
  readonly password: string
}

export interface RoleOptions {
  login?: boolean
  superuser?: boolean
  bypassrls?: boolean
  createdb?: boolean
  createrole?: boolean
  password?: string
  connectionLimit?: number
}

// Four workers with these limits stay far below the server's 400 connections, however many the tests open themselves.
const maxAdminConnections = 3
const maxQueryConnections = 8

const databases = new Set<string>()
const roles = new Set<string>()
let adminPool: Pool | null = null
let strategy: string | null = null
let openQueries = 0
const waiting: (() => void)[] = []

/** A superuser's URL on the shared server, for its administration database or a given one. */
export function superuserUrl(database?: string): string {
  const url = new URL(inject('superuserUrl'))
  if (database !== undefined) url.pathname = `/${database}`
  return url.href
}

/** A name that is unique in this run and on this server. */
export function uniqueName(label = ''): string {
  return `${runPrefix(inject('runId'))}${label}${randomBytes(5).toString('hex')}`
}

/** Creates an empty database, or a copy of `template`, and returns its name. */
export async function createDatabase(
  options: { owner?: string; template?: string; encoding?: string } = {},
): Promise<string> {
  const name = uniqueName()
  const owner = options.owner === undefined ? '' : ` OWNER ${quote(options.owner)}`
  const encoding = options.encoding === undefined ? '' : ` ENCODING '${options.encoding}' LOCALE 'C'`
  const template = ` TEMPLATE ${quote(options.template ?? 'template0')}`
  strategy ??= await copyStrategy({ query: async (sql) => ({ rows: await admin(sql) }) })
  await admin(`CREATE DATABASE ${quote(name)}${owner}${template}${encoding} ${strategy}`)
  databases.add(name)
  return name
}

/** Creates a role, which by default can only log in. */
export async function createRole(options: RoleOptions = {}): Promise<TestRole> {
  const name = uniqueName('r')
  const password = options.password ?? randomBytes(12).toString('hex')
  const words = [
    (options.login ?? true) ? 'LOGIN' : 'NOLOGIN',
    options.superuser ? 'SUPERUSER' : 'NOSUPERUSER',
    options.bypassrls ? 'BYPASSRLS' : 'NOBYPASSRLS',
    options.createdb ? 'CREATEDB' : 'NOCREATEDB',
    options.createrole ? 'CREATEROLE' : 'NOCREATEROLE',
    `CONNECTION LIMIT ${options.connectionLimit ?? -1}`,
  ]
  await admin(`CREATE ROLE ${quote(name)} ${words.join(' ')} PASSWORD '${password.replaceAll("'", "''")}'`)
  roles.add(name)
  return { name, password }
}

/**
 * A database that `prepare` fills once per run, whichever file comes first, to be copied with
 * `createDatabase({ template })`. `prepare` gets a superuser's URL and closes what it opens.
 */
export async function createTemplate(key: string, prepare: (url: string) => Promise<void>): Promise<string> {
  const name = templateName(key)
  await ensureTemplate(superuser, { name, writer: null, fill: () => prepare(superuserUrl(name)) })
  return name
}

/**
 * A copy of a database that `prepare` fills once per run as an ordinary role. `owner` owns all that is in the copy, as if the
 * owner had filled it.
 */
export async function createCopy(
  owner: string,
  key: string,
  prepare: (url: string) => Promise<void>,
): Promise<string> {
  // Without the templates of `createTemplate`, to which no session writes.
  const [template, writer] = [templateName(`${key}_written`), templateName(`${key}_writer`)]
  await ensureTemplate(superuser, {
    ...{ name: template, writer: { name: writer, password: writer } },
    fill: () => prepare(urlFor({ role: { name: writer, password: writer }, database: template })),
  })
  const name = uniqueName()
  await copyTemplate(superuser, { template, name, owner, writer })
  databases.add(name)
  return name
}

/** Drops every database and role that this file has created, and ends their sessions. For `afterAll`. */
export async function dropAll(): Promise<void> {
  // Each drop requests a checkpoint, and concurrent requests share one.
  await Promise.all(
    [...databases].map((name) => admin(`DROP DATABASE IF EXISTS ${quote(name)} WITH (FORCE)`)),
  )
  for (const name of roles) await dropRole(name)
  databases.clear()
  roles.clear()
  await adminPool?.end()
  adminPool = null
}

/** Cuts off every session on a database, as an administrator would. Returns how many there were. */
export async function terminateBackends(database: string): Promise<number> {
  const ended = await admin(
    'SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity WHERE datname = $1',
    [database],
  )
  return ended.length
}

/** The URL under which `role` reaches `database` on the shared server, or on the one at `port`. */
export function urlFor(target: { role: TestRole; database: string; port?: number; host?: string }): string {
  const url = new URL(inject('superuserUrl'))
  url.username = encodeURIComponent(target.role.name)
  url.password = encodeURIComponent(target.role.password)
  url.pathname = `/${target.database}`
  if (target.host !== undefined) url.hostname = target.host
  if (target.port !== undefined) url.port = String(target.port)
  return url.href
}

/** Runs one statement on a new connection and returns the rows. */
export async function query<Row extends QueryResultRow = Record<string, unknown>>(
  url: string,
  sql: string,
  params: unknown[] = [],
): Promise<Row[]> {
  await enter()
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 10_000 })
  client.on('error', () => {})
  try {
    await client.connect()
    // Without parameters it uses the simple protocol, so that a script of several statements works.
    const result = params.length === 0 ? await client.query<Row>(sql) : await client.query<Row>(sql, params)
    return result.rows
  } finally {
    await client.end().catch(() => {})
    leave()
  }
}

async function admin(sql: string, params: unknown[] = []): Promise<QueryResultRow[]> {
  if (adminPool === null) {
    adminPool = new Pool({
      connectionString: superuserUrl(),
      max: maxAdminConnections,
      allowExitOnIdle: true,
    })
    adminPool.on('error', () => {})
  }
  return (await adminPool.query(sql, params)).rows
}

/** Also drops what a role still owns outside of the dropped databases. Rights elsewhere remain until the end of the run. */
async function dropRole(name: string): Promise<void> {
  const [found] = await admin('SELECT 1 FROM pg_roles WHERE rolname = $1', [name])
  if (found === undefined) return
  await admin(`DROP OWNED BY ${quote(name)} CASCADE`)
  await admin(`DROP ROLE ${quote(name)}`).catch((error) => {
    if (error.code !== '2BP01') throw error
  })
}

function templateName(key: string): string {
  return `${runPrefix(inject('runId'))}template_${key}`
}

const superuser: Superuser = async (database, work) => {
  const client = new Client({ connectionString: superuserUrl(database ?? undefined) })
  client.on('error', () => {})
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

async function enter(): Promise<void> {
  if (openQueries < maxQueryConnections) openQueries++
  else await new Promise<void>((resolve) => waiting.push(resolve))
}

function leave(): void {
  const next = waiting.shift()
  if (next === undefined) openQueries--
  else next()
}
