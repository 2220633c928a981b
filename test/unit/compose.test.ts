import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { readSettings } from '../../src/config.ts'

interface Service {
  image?: string
  build?: { context: string; dockerfile: string }
  environment?: Record<string, string>
  volumes?: string[]
  ports?: string[]
  networks?: string[]
  depends_on?: Record<string, { condition: string }>
  healthcheck?: object
  deploy?: { replicas: number }
}

interface Compose {
  services: Record<string, Service>
  networks: Record<string, { internal?: boolean; ipam?: { config: { subnet: string }[] } }>
  volumes: Record<string, object>
}

const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const compose: Compose = parse(read('docker-compose.yml'), { merge: true })
const services = Object.entries(compose.services)
const gateway = compose.services.gateway ?? {}
const environment = gateway.environment ?? {}
const databases = services.filter(([, { image }]) => image?.startsWith('postgres:'))

const scratch = mkdtempSync(join(tmpdir(), 'freehold-compose-'))
afterAll(() => rmSync(scratch, { recursive: true }))

/** The secrets as `deploy/make-env.sh` writes them. */
function makeSecrets(): Record<string, string> {
  const path = join(scratch, 'env')
  execFileSync('sh', [join(root, 'deploy/make-env.sh'), path], { stdio: 'pipe' })
  expect(statSync(path).mode & 0o077).toBe(0)
  const lines = readFileSync(path, 'utf8').trim().split('\n')
  return Object.fromEntries(lines.map((line) => line.split('=') as [string, string]))
}

/** Compose's own rules for `${NAME:?message}` and `${NAME:-default}`, the two forms that are used. */
function interpolate(text: string, values: Record<string, string>): string {
  return text.replace(/\$\{(\w+):([?-])([^}]*)\}/g, (_, name: string, kind: string, rest: string) => {
    const value = values[name]
    if (value !== undefined && value !== '') return value
    if (kind === '?') throw new Error(`${name} ${rest}`)
    return rest
  })
}

describe('docker-compose.yml', () => {
  test('has the documented services', () => {
    expect(Object.keys(compose.services).sort()).toEqual(['catalog-db', 'gateway', 'proxy', 'tenant-db'])
    expect(gateway.deploy?.replicas).toBe(2)
    expect(databases).toHaveLength(2)
  })

  test.each(services)('%s: every name that it uses is declared', (_, service) => {
    for (const other of Object.keys(service.depends_on ?? {}))
      expect(Object.keys(compose.services)).toContain(other)
    for (const network of service.networks ?? []) expect(Object.keys(compose.networks)).toContain(network)
    for (const volume of service.volumes ?? []) {
      const [source = ''] = volume.split(':')
      if (source.startsWith('.')) expect(existsSync(join(root, source)), source).toBe(true)
      else expect(Object.keys(compose.volumes)).toContain(source)
    }
    if (service.build)
      expect(existsSync(join(root, service.build.context, service.build.dockerfile))).toBe(true)
  })

  test.each(services)('%s: its image is pinned to a version', (_, { image, build }) => {
    if (build === undefined) expect(image).toMatch(/^[a-z]+:\d+(?:\.\d+)*(?:-[a-z]+)?$/)
  })

  test.each(services)('%s: waits only for services that have a health check', (_, service) => {
    for (const [other, { condition }] of Object.entries(service.depends_on ?? {})) {
      expect(condition).toBe('service_healthy')
      const { healthcheck, build } = compose.services[other] ?? {}
      expect(healthcheck !== undefined || /^HEALTHCHECK /m.test(read(build?.dockerfile ?? ''))).toBe(true)
    }
  })

  test.each(databases)('%s is reachable from the gateways only', (_, { ports, networks }) => {
    expect(ports).toBeUndefined()
    expect(networks).toEqual(['data'])
    expect(compose.networks.data?.internal).toBe(true)
  })

  test('publishes only the proxy, and only to this machine', () => {
    expect(services.flatMap(([name, { ports }]) => (ports ? [name] : []))).toEqual(['proxy'])
    expect(compose.services.proxy?.ports).toEqual([expect.stringMatching(/^127\.0\.0\.1:/)])
  })

  test('contains no secret, and refuses to start without one', () => {
    const names = /(?:PASSWORD|TOKEN|_KEY)$/
    for (const [, service] of services) {
      for (const [name, value] of Object.entries(service.environment ?? {})) {
        if (names.test(name)) expect(value, name).toMatch(/^\$\{\w+:\?[^}]+\}$/)
        if (value.includes('://')) expect(value, name).toMatch(/\/\/\w+:\$\{\w+:\?[^}]+\}@/)
      }
    }
    expect(() => interpolate(read('docker-compose.yml'), {})).toThrow('run deploy/make-env.sh')
  })
})

describe('the environment of the gateway', () => {
  test('contains known settings only', () => {
    const known = [...read('src/config.ts').matchAll(/\benv\s*\.\w+\(\s*'([A-Z_]+)'/g)].map(
      ([, name]) => name,
    )
    expect(known).toContain('CATALOG_DATABASE_URL')
    expect(environment.TRUSTED_PROXIES).toBe(compose.networks.front?.ipam?.config[0]?.subnet)
    expect(Object.keys(environment).filter((name) => !known.includes(name))).toEqual([])
    const inImage = [...read('deploy/Dockerfile').matchAll(/^ENV (.*)$/gm)].flatMap(([, line = '']) =>
      line.split(' '),
    )
    const unknown = inImage.filter((entry) => !known.includes(entry.split('=')[0]))
    expect(unknown).toEqual(['NODE_OPTIONS=--max-semi-space-size=8'])
  })

  test('is accepted unchanged, with the secrets from make-env.sh', () => {
    const secrets = makeSecrets()
    const settings = readSettings(parse(interpolate(JSON.stringify(environment), secrets)))
    expect(settings.embedded).toBe(false)
    expect(settings.databases?.shared).toMatchObject({
      host: 'catalog-db',
      user: 'freehold_shared',
      sslMode: 'disable',
    })
    expect(settings.databases?.sharedMigration?.user).toBe('freehold_owner')
    expect(settings.hostRules?.names).toEqual([{ host: 'tenant-db', port: 5432 }])
    expect(new Set(Object.values(secrets)).size).toBe(Object.keys(secrets).length)
    const wanted = [...read('docker-compose.yml').matchAll(/\$\{(\w+):\?/g)].map(([, name]) => name)
    expect([...new Set(wanted)].sort()).toEqual(Object.keys(secrets).sort())
  })

  test('is never replaced by make-env.sh', () => {
    const again = () =>
      execFileSync('sh', [join(root, 'deploy/make-env.sh'), join(scratch, 'env')], { stdio: 'pipe' })
    const before = readFileSync(join(scratch, 'env'), 'utf8')
    expect(again).toThrow()
    expect(readFileSync(join(scratch, 'env'), 'utf8')).toBe(before)
  })

  test("leaves some of a server's 100 connections free", () => {
    expect(Number(environment.MAX_CONNECTIONS_PER_SERVER)).toBeLessThanOrEqual(90)
  })

  test('allows more time to stop than to drain', () => {
    const grace = /stop_grace_period: (\d+)s/.exec(read('docker-compose.yml'))?.[1]
    expect(Number(grace)).toBeGreaterThan(Number(environment.SHUTDOWN_GRACE_SECONDS))
    expect(Number(environment.SHUTDOWN_DELAY_SECONDS)).toBeGreaterThan(2)
  })
})

describe('the servers at their first start', () => {
  const catalogServer = read('deploy/postgres/catalog-server.sql')
  const tenantServer = read('deploy/postgres/tenant-server.sql')
  const roles = (sql: string) =>
    [...sql.matchAll(/CREATE ROLE (\w+)([^;]*);/g)].map(([, name, rest]) => ({ name, rest }))
  const owners = (sql: string) =>
    [...sql.matchAll(/CREATE DATABASE \w+ OWNER (\w+)/g)].map(([, owner]) => owner)
  const userOf = (setting: string) => /\/\/(\w+):/.exec(environment[setting] ?? '')?.[1]

  test('no created role is a superuser, bypasses row-level security or creates roles', () => {
    const all = [...roles(catalogServer), ...roles(tenantServer)]
    expect(all).toHaveLength(5)
    for (const { name, rest } of all) {
      for (const word of ['NOSUPERUSER', 'NOBYPASSRLS', 'NOCREATEDB', 'NOCREATEROLE'])
        expect(rest, name).toContain(word)
    }
  })

  test('the serving roles own nothing, and the migration role owns both databases', () => {
    expect(owners(catalogServer)).toEqual(['freehold_owner', 'freehold_owner'])
    expect(userOf('CATALOG_DATABASE_URL')).toBe('freehold_catalog')
    expect(userOf('SHARED_DATABASE_URL')).toBe('freehold_shared')
    expect(userOf('CATALOG_MIGRATION_DATABASE_URL')).toBe('freehold_owner')
    expect(userOf('SHARED_MIGRATION_DATABASE_URL')).toBe('freehold_owner')
    expect(catalogServer).toMatch(
      /DEFAULT PRIVILEGES FOR ROLE freehold_owner[^;]*ON TABLES TO freehold_shared;/,
    )
    expect(catalogServer).not.toMatch(/GRANT freehold_owner TO|TRUNCATE/)
  })

  test('no role may connect to a database of another role', () => {
    expect(catalogServer).toContain('REVOKE ALL ON DATABASE catalog, shared FROM PUBLIC;')
    expect(tenantServer).toContain('REVOKE ALL ON DATABASE acme, globex FROM PUBLIC;')
  })

  test.each([
    ['catalog-db', catalogServer],
    ['tenant-db', tenantServer],
  ])('%s: every password that its script reads is provided, and the script contains none', (name, sql) => {
    const wanted = [...sql.matchAll(/^\\getenv \w+ (\w+)$/gm)].map(([, variable]) => variable)
    const given = Object.keys(compose.services[name]?.environment ?? {}).filter(
      (key) => key !== 'POSTGRES_PASSWORD',
    )
    expect(given).toEqual(wanted)
    expect(sql).not.toMatch(/PASSWORD\s+'/)
  })
})

describe('the image', () => {
  const dockerfile = read('deploy/Dockerfile')

  test('runs the entry point as an ordinary user', () => {
    expect(dockerfile).toMatch(/^USER node$/m)
    expect(dockerfile.trimEnd().split('\n').slice(-2)).toEqual([
      'ENTRYPOINT ["tini", "--"]',
      'CMD ["node", "src/main.ts", "start"]',
    ])
    expect(read('deploy/healthcheck.sh')).toContain('/livez')
  })

  test('can be built by container engines that are some years old', () => {
    expect(dockerfile).not.toMatch(/^HEALTHCHECK.*--start-interval/m)
  })

  test('copies only files that exist and that .dockerignore allows', () => {
    const allowed = [...read('.dockerignore').matchAll(/^!(.+)$/gm)].map(([, path]) => path)
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, paths = '']) =>
      paths.split(' '),
    )
    // The content of an allowed folder is allowed too.
    const whole = copied.filter((path) => !allowed.some((folder) => path.startsWith(`${folder}/`)))
    expect([...new Set(whole)].sort()).toEqual([...allowed].sort())
    for (const path of copied) expect(existsSync(join(root, path)), path).toBe(true)
  })
})

test('the proxy checks the readiness of every gateway', () => {
  const proxy = read('deploy/haproxy.cfg')
  expect(proxy).toContain('option httpchk GET /readyz')
  expect(proxy).toMatch(new RegExp(`server-template gateway- ${gateway.deploy?.replicas} gateway:8080 check`))
})
