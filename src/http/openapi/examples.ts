/** The parts of JSON Schema that our schemas use. */
export interface JsonSchema {
  readonly type?: string | readonly string[]
  readonly title?: string
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly items?: JsonSchema
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly default?: unknown
  readonly examples?: readonly unknown[]
  readonly format?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly pattern?: string
  readonly minItems?: number
  readonly maxItems?: number
  readonly required?: readonly string[]
  readonly additionalProperties?: unknown
}

/** Believable values for names that many schemas share; one that does not fit its schema is passed over. */
const BY_NAME: Readonly<Record<string, unknown>> = {
  name: 'Acme Corporation',
  code: 'acme-corp',
  tenantCode: 'acme-corp',
  email: 'ada@acme-corp.example',
  username: 'ada',
  password: 'correct horse battery staple',
  currentPassword: 'correct horse battery staple',
  newPassword: 'purple monkey dishwasher',
  accessToken: 'eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCJ9.…',
  refreshToken: 'fhr_…',
  expiresIn: 900,
  taxNumber: 'NL001234567B01',
  description: 'Looks after the accounts',
  phone: '+31 15 555 0100',
  permissions: ['users:read', 'users:write'],
  roles: ['admin'],
  key: 'fhk_…',
  token: 'fho_…',
  kid: 's.Zm9yZXhhbXBs.ZXhhbXBsZXM',
  secret: 'VGhpcyBpcyBhbiBleGFtcGxlLCBkbyBub3QgdXNlIGl0IQ==',
  subject: 'https://login.acme-corp.example|ada',
  action: 'user.create',
  seq: 42,
  host: 'db.acme-corp.example',
  database: 'acme',
  user: 'acme_app',
  port: 5432,
  sslMode: 'verify-full',
  connectionString: 'postgresql://acme_app:secret@db.acme-corp.example:5432/acme',
  databaseType: 'postgres',
  cursor: null,
  nextCursor: null,
}

const ID = '01900000-0000-7000-8000-000000000001'
const BY_FORMAT: Readonly<Record<string, string>> = {
  uuid: ID,
  'date-time': '2026-01-31T09:30:00.000000Z',
  date: '2026-02-01',
  email: 'ada@acme-corp.example',
}

/** A value that the schema takes; the same each time. */
export function exampleOf(schema: JsonSchema, name = ''): unknown {
  if (schema.examples !== undefined) return schema.examples[0]
  if (schema.const !== undefined) return schema.const
  const [known] = name in BY_NAME ? [BY_NAME[name]] : []
  if (known !== undefined && fits(schema, known)) return known
  if (schema.default !== undefined) return schema.default
  if (schema.enum !== undefined) return schema.enum[0]
  return ofType(schema, name)
}

function ofType(schema: JsonSchema, name: string): unknown {
  const type = typesOf(schema)[0]
  if (type === 'object') return exampleObject(schema)
  if (type === 'array') return schema.items ? [exampleOf(schema.items, name.replace(/s$/, ''))] : []
  if (type === 'integer' || type === 'number')
    return Math.max(schema.minimum ?? 1, Math.min(1, schema.maximum ?? 1))
  if (type === 'boolean') return true
  return type === 'string' ? exampleText(schema) : null
}

function exampleObject({ properties = {} }: JsonSchema): object {
  return Object.fromEntries(Object.entries(properties).map(([name, part]) => [name, exampleOf(part, name)]))
}

function exampleText({ format = '', pattern = '', maxLength = 20 }: JsonSchema): string {
  if (BY_FORMAT[format] !== undefined) return BY_FORMAT[format]
  if (pattern.includes('[0-9a-f]{64}')) return 'a3'.repeat(32)
  return 'text'.slice(0, maxLength)
}

function fits(schema: JsonSchema, value: unknown): boolean {
  const types = typesOf(schema)
  if (schema.enum !== undefined && !schema.enum.includes(value)) return false
  if (schema.format !== undefined && schema.format !== 'email') return false
  if (value === null) return types.includes('null')
  if (Array.isArray(value)) return types.includes('array')
  if (typeof value === 'number')
    return types.includes(Number.isInteger(value) ? 'integer' : 'number') || types.includes('number')
  return types.includes(typeof value) && value !== ''
}

export function typesOf({ type }: JsonSchema): readonly string[] {
  return type === undefined ? [] : typeof type === 'string' ? [type] : type
}
