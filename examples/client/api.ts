// Generated from /openapi.json by `npm run client:generate`. Do not edit.
// biome-ignore-all lint: generated
// biome-ignore-all format: generated
// biome-ignore-all assist: generated
/** Account */
export interface Account {
  /** @format date-time */
  createdAt: string;
  email: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  id: string;
  memberships: Membership[];
  name: string | null;
  roles: string[];
  status: "ACTIVE" | "INACTIVE";
  /** @format date-time */
  updatedAt: string;
}

/** AccountList */
export interface AccountList {
  data: Account[];
  nextCursor: string | null;
}

/** AccountLogin */
export interface AccountLogin {
  /**
   * @minLength 1
   * @maxLength 254
   * @pattern ^[^\u0000]*$
   */
  email: string;
  /**
   * @minLength 1
   * @maxLength 1024
   */
  password: string;
}

/** AccountPatch */
export interface AccountPatch {
  /**
   * @minLength 1
   * @maxLength 254
   * @pattern ^[^\u0000]*$
   */
  email?: string;
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  name?: string | null;
  /**
   * @minLength 1
   * @maxLength 1024
   */
  password?: string;
  /**
   * @maxItems 50
   * @uniqueItems true
   */
  roles?: string[];
  status?: "ACTIVE" | "INACTIVE";
}

/** AccountToken */
export interface AccountToken {
  accessToken: string;
  expiresIn: number;
  tokenType: "Bearer";
}

/** AuditEntry */
export interface AuditEntry {
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  actedForTenantId: string | null;
  action: string;
  actor: {
    id: string;
    type:
      | "operator"
      | "user"
      | "account"
      | "external"
      | "client-key"
      | "system";
  };
  address: string | null;
  after: Record<string, any> | null;
  /** @format date-time */
  at: string;
  before: Record<string, any> | null;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  id: string;
  requestId: string | null;
  seq: number;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  tenantId: string | null;
}

/** AuditLog */
export interface AuditLog {
  data: AuditEntry[];
  nextCursor: string | null;
}

/** AuditVerdict */
export interface AuditVerdict {
  firstBreak: {
    reason: "missing" | "changed" | "resealed";
    seq: number;
  };
  ok: boolean;
  rows: number;
  sealedThrough: number;
}

/** AuthConfig */
export interface AuthConfig {
  accessTokenSeconds: number;
  lockout: {
    attempts: number;
    windowSeconds: number;
  };
  passwordPolicy: {
    minLength: number;
    requireMixed: boolean;
  };
  refreshReuseSeconds: number;
  refreshTokenSeconds: number;
}

/** Balance */
export interface Balance {
  balance: number;
}

/** Charge */
export interface Charge {
  /**
   * @min -9007199254740991
   * @max 9007199254740991
   */
  amountCents: number;
  /** @format date-time */
  createdAt: string;
  /** @pattern ^[A-Z]{3}$ */
  currency: string;
  /** @format date */
  dueOn: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  id: string;
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  label: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  leaseId: string;
  status: "due" | "paid" | "cancelled";
  /** @format date-time */
  updatedAt: string;
}

/** ChargeList */
export interface ChargeList {
  data: Charge[];
  nextCursor: string | null;
}

/** ChargePatch */
export interface ChargePatch {
  /**
   * @min -9007199254740991
   * @max 9007199254740991
   */
  amountCents?: number;
  /** @pattern ^[A-Z]{3}$ */
  currency?: string;
  /** @format date */
  dueOn?: string;
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  label?: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  leaseId?: string;
  status?: "due" | "paid" | "cancelled";
}

/** ClientKey */
export interface ClientKey {
  /** @format date-time */
  createdAt: string;
  /** @format date-time */
  expiresAt: string | null;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  id: string;
  /** @format date-time */
  lastUsedAt: string | null;
  name: string;
  permissions: string[];
  prefix: string;
}

/** ClientKeyList */
export interface ClientKeyList {
  data: ClientKey[];
  nextCursor: string | null;
}

/** Contact */
export interface Contact {
  /** @format date-time */
  createdAt: string;
  /**
   * @maxLength 254
   * @pattern ^[^\s@\u0000]+@[^\s@\u0000]+$
   */
  email: string | null;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  id: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  lesseeId: string | null;
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  name: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  ownerId: string | null;
  /**
   * @minLength 1
   * @maxLength 50
   * @pattern ^[^\u0000]*$
   */
  phone: string | null;
  /**
   * @minLength 1
   * @maxLength 100
   * @pattern ^[^\u0000]*$
   */
  role: string | null;
  /** @format date-time */
  updatedAt: string;
}

/** ContactList */
export interface ContactList {
  data: Contact[];
  nextCursor: string | null;
}

/** ContactPatch */
export interface ContactPatch {
  /**
   * @maxLength 254
   * @pattern ^[^\s@\u0000]+@[^\s@\u0000]+$
   */
  email?: string | null;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  lesseeId?: string | null;
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  name?: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  ownerId?: string | null;
  /**
   * @minLength 1
   * @maxLength 50
   * @pattern ^[^\u0000]*$
   */
  phone?: string | null;
  /**
   * @minLength 1
   * @maxLength 100
   * @pattern ^[^\u0000]*$
   */
  role?: string | null;
}

/** CreatedClientKey */
export interface CreatedClientKey {
  /** @format date-time */
  createdAt: string;
  /** @format date-time */
  expiresAt: string | null;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  id: string;
  key: string;
  name: string;
  permissions: string[];
  prefix: string;
}

/** CreatedOperator */
export interface CreatedOperator {
  /** @format date-time */
  createdAt: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  id: string;
  name: string;
  prefix: string;
  role: "admin" | "viewer";
  token: string;
}

/** Credit */
export interface Credit {
  /**
   * @min -2147483648
   * @max 2147483647
   */
  amount: number;
  /** @format date-time */
  createdAt: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  id: string;
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  paymentReference: string;
  /** @format date-time */
  updatedAt: string;
}

/** CreditList */
export interface CreditList {
  data: Credit[];
  nextCursor: string | null;
}

/** Database */
export interface Database {
  candidate: RegisteredDatabase;
  connectionTimeoutSeconds: number;
  consecutiveFailures: number;
  database: string;
  databaseType: "postgres";
  effective: {
    confirmed: number;
    replicas: number;
  };
  encryptionKeyId: string | null;
  host: string;
  idleTimeoutSeconds: number;
  /** @format date-time */
  lastCheckedAt: string | null;
  lastError: {
    /** @format date-time */
    at: string;
    code: string;
    message: string;
  };
  moveRequired: boolean;
  placement: "shared" | "dedicated";
  poolSize: number;
  port: number;
  schemaVersion: {
    application: string | null;
    core: string | null;
  };
  serverVersion: string | null;
  sslMode: string;
  status: "pending_validation" | "active" | "failed" | "inactive";
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  tenantId: string;
  user: string;
  /** @format date-time */
  validatedAt: string | null;
}

/** DatabaseRegistration */
export interface DatabaseRegistration {
  /** @default true */
  applyMigrations: boolean;
  /**
   * @minLength 1
   * @maxLength 262144
   * @pattern ^[^\u0000]*$
   */
  caCertificate?: string;
  /** @minLength 1 */
  connectionString: string;
  /**
   * 5 where neither it nor connect_timeout in the connection string is given
   * @min 1
   * @max 60
   */
  connectionTimeoutSeconds?: number;
  /** @default "postgres" */
  databaseType: "postgres";
  /**
   * @min 1
   * @max 86400
   * @default 30
   */
  idleTimeoutSeconds: number;
  /**
   * @min 1
   * @max 1000
   * @default 10
   */
  poolSize: number;
}

/** DatabaseSchema */
export interface DatabaseSchema {
  lastError: {
    /** @format date-time */
    at: string;
    code: string;
    message: string;
  };
  schemaVersion: {
    application: string | null;
    core: string | null;
  };
  state: "current" | "behind" | "failed" | "unreachable" | "drifted";
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  tenantId: string | null;
}

/** DatabaseValidation */
export interface DatabaseValidation {
  /** @default false */
  adopt: boolean;
}

/** Document */
export interface Document {
  /** @format date-time */
  createdAt: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  id: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  leaseId: string;
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  title: string;
  /** @format date-time */
  updatedAt: string;
}

/** DocumentList */
export interface DocumentList {
  data: Document[];
  nextCursor: string | null;
}

/** DocumentPatch */
export interface DocumentPatch {
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  leaseId?: string;
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  title?: string;
}

/** Encryption */
export interface Encryption {
  counts: Record<string, number>;
  currentKeyId: string;
  rotation: {
    /** @format date-time */
    finishedAt: string | null;
    /**
     * @format uuid
     * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
     */
    id: string;
    keyId: string;
    remaining: number;
    /** @format date-time */
    startedAt: string;
    status: "running" | "done" | "failed" | "superseded";
    total: number;
  };
}

/** Equipment */
export interface Equipment {
  /** @format date */
  acquiredOn: string | null;
  condition: "new" | "good" | "fair" | "poor";
  /** @format date-time */
  createdAt: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  id: string;
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  name: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  roomId: string;
  /** @format date-time */
  updatedAt: string;
}

/** EquipmentList */
export interface EquipmentList {
  data: Equipment[];
  nextCursor: string | null;
}

/** EquipmentPatch */
export interface EquipmentPatch {
  /** @format date */
  acquiredOn?: string | null;
  condition?: "new" | "good" | "fair" | "poor";
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  name?: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  roomId?: string;
}

/** Estate */
export interface Estate {
  /**
   * @min 0
   * @max 1000000000
   */
  surfaceM2: number | null;
  /** @format date-time */
  createdAt: string;
  /**
   * @min -2147483648
   * @max 2147483647
   */
  floor: number | null;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  id: string;
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  name: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  placeId: string;
  /**
   * @minLength 1
   * @maxLength 100
   * @pattern ^[^\u0000]*$
   */
  reference: string | null;
  /** @format date-time */
  updatedAt: string;
}

/** EstateList */
export interface EstateList {
  data: Estate[];
  nextCursor: string | null;
}

/** EstatePatch */
export interface EstatePatch {
  /**
   * @min 0
   * @max 1000000000
   */
  surfaceM2?: number | null;
  /**
   * @min -2147483648
   * @max 2147483647
   */
  floor?: number | null;
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  name?: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  placeId?: string;
  /**
   * @minLength 1
   * @maxLength 100
   * @pattern ^[^\u0000]*$
   */
  reference?: string | null;
}

/** Explanation */
export interface Explanation {
  because: string[];
  breaker: "closed" | "open" | "half-open" | "probing";
  code: string;
  database: RegisteredDatabase;
  epoch: number;
  placement: "shared" | "dedicated";
  pool: {
    idle: number;
    lanes: number;
    open: number;
    waiting: number;
  };
  schema: "current" | "behind" | "failed" | "unreachable" | "drifted";
  server: string | null;
  status: "ACTIVE" | "INACTIVE";
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  tenantId: string;
  would: {
    read: string;
    write: string;
  };
}

/** Health */
export interface Health {
  activePools: number;
  cachedConfigs: number;
  catalog: {
    latencyMs: number | null;
    status: "ok" | "read-only" | "down";
  };
  connections: {
    max: number;
    open: number;
  };
  databases: {
    active: number;
    failed: number;
    inactive: number;
    pending_validation: number;
  };
  schema: {
    behind: number;
    current: number;
    failed: number;
  };
  shared: {
    latencyMs: number | null;
    status: "ok" | "read-only" | "down";
  };
  status: "ok" | "degraded" | "unavailable";
  uptimeSeconds: number;
  version: string;
}

/** Job */
export interface Job {
  attempts: number;
  /** @format date-time */
  createdAt: string;
  error: {
    /** @format date-time */
    at: string;
    code: string;
    message: string;
  };
  /** @format date-time */
  finishedAt: string | null;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  id: string;
  kind: string;
  progress: {
    done: number;
    total: number;
  };
  result: Record<string, any> | null;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  runId: string | null;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  serverId: string | null;
  /** @format date-time */
  startedAt: string | null;
  status: "queued" | "running" | "succeeded" | "failed" | "cancelled";
  step: string | null;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  tenantId: string | null;
}

/** JobList */
export interface JobList {
  data: Job[];
  nextCursor: string | null;
}

/** Jwk */
export interface Jwk {
  alg: "EdDSA" | "ES256";
  crv: "Ed25519" | "P-256";
  kid: string;
  kty: "OKP" | "EC";
  use: "sig";
  x: string;
  y?: string;
}

/** Jwks */
export interface Jwks {
  keys: Jwk[];
}

/** KeyRotation */
export interface KeyRotation {
  /**
   * @minLength 1
   * @maxLength 1024
   */
  secret?: string;
}

/** Lease */
export interface Lease {
  /** @format date-time */
  createdAt: string;
  /** @pattern ^[A-Z]{3}$ */
  currency: string;
  /**
   * @min 0
   * @max 9007199254740991
   */
  depositCents: number | null;
  /** @format date */
  endsOn: string | null;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  estateId: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  id: string;
  /**
   * @maxItems 20
   * @minItems 1
   * @uniqueItems true
   */
  lesseeIds: string[];
  /**
   * @min 0
   * @max 9007199254740991
   */
  rentCents: number;
  /** @format date */
  startsOn: string;
  status: "draft" | "active" | "ended";
  /** @format date-time */
  updatedAt: string;
}

/** LeaseList */
export interface LeaseList {
  data: Lease[];
  nextCursor: string | null;
}

/** LeasePatch */
export interface LeasePatch {
  /** @pattern ^[A-Z]{3}$ */
  currency?: string;
  /**
   * @min 0
   * @max 9007199254740991
   */
  depositCents?: number | null;
  /** @format date */
  endsOn?: string | null;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  estateId?: string;
  /**
   * @maxItems 20
   * @minItems 1
   * @uniqueItems true
   */
  lesseeIds?: string[];
  /**
   * @min 0
   * @max 9007199254740991
   */
  rentCents?: number;
  /** @format date */
  startsOn?: string;
  status?: "draft" | "active" | "ended";
}

/** Lessee */
export interface Lessee {
  /** @format date-time */
  createdAt: string;
  /**
   * @maxLength 254
   * @pattern ^[^\s@\u0000]+@[^\s@\u0000]+$
   */
  email: string | null;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  id: string;
  kind: "person" | "company";
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  name: string;
  /**
   * @minLength 1
   * @maxLength 50
   * @pattern ^[^\u0000]*$
   */
  phone: string | null;
  /** @format date-time */
  updatedAt: string;
}

/** LesseeList */
export interface LesseeList {
  data: Lessee[];
  nextCursor: string | null;
}

/** LesseePatch */
export interface LesseePatch {
  /**
   * @maxLength 254
   * @pattern ^[^\s@\u0000]+@[^\s@\u0000]+$
   */
  email?: string | null;
  kind?: "person" | "company";
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  name?: string;
  /**
   * @minLength 1
   * @maxLength 50
   * @pattern ^[^\u0000]*$
   */
  phone?: string | null;
}

/** Login */
export interface Login {
  /**
   * @minLength 1
   * @maxLength 254
   * @pattern ^[^\u0000]*$
   */
  email?: string;
  /**
   * @minLength 1
   * @maxLength 1024
   */
  password: string;
  /**
   * @minLength 1
   * @maxLength 80
   * @pattern ^[^\u0000]*$
   */
  tenantCode: string;
  /**
   * @minLength 1
   * @maxLength 254
   * @pattern ^[^\u0000]*$
   */
  username?: string;
}

/** Logout */
export interface Logout {
  /** @default false */
  everywhere: boolean;
  /**
   * @minLength 1
   * @maxLength 512
   * @pattern ^[^\u0000]*$
   */
  refreshToken: string;
}

/** Me */
export interface Me {
  account?: {
    email: string;
    /**
     * @format uuid
     * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
     */
    id: string;
    name: string | null;
  };
  actingFor: {
    code: string;
    /**
     * @format uuid
     * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
     */
    id: string;
    name: string;
  };
  clientKey?: {
    /**
     * @format uuid
     * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
     */
    id: string;
  };
  external?: {
    subject: string;
  };
  permissions: string[];
  roles: string[];
  tenant: {
    code: string;
    /**
     * @format uuid
     * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
     */
    id: string;
    name: string;
  };
  user: {
    /** @format date-time */
    createdAt: string;
    email: string;
    /**
     * @format uuid
     * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
     */
    id: string;
    name: string | null;
    roles: string[];
    status: "ACTIVE" | "INACTIVE";
    taxNumber: string | null;
    /** @format date-time */
    updatedAt: string;
    username: string | null;
  };
}

/** Media */
export interface Media {
  /** @pattern ^[0-9a-f]{64}$ */
  sha256: string;
  /**
   * @minLength 1
   * @maxLength 100
   * @pattern ^[^\u0000]*$
   */
  contentType: string;
  /** @format date-time */
  createdAt: string;
  /**
   * @minLength 1
   * @maxLength 255
   * @pattern ^[^\u0000]*$
   */
  filename: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  id: string;
  /**
   * @min 0
   * @max 2147483647
   */
  sizeBytes: number;
  /** @format date-time */
  updatedAt: string;
}

/** MediaList */
export interface MediaList {
  data: Media[];
  nextCursor: string | null;
}

/** MediaPatch */
export interface MediaPatch {
  /**
   * @minLength 1
   * @maxLength 255
   * @pattern ^[^\u0000]*$
   */
  filename?: string;
}

/** Membership */
export interface Membership {
  roles: string[];
  tenantCode: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  tenantId: string;
}

/** MembershipRoles */
export interface MembershipRoles {
  /**
   * @maxItems 50
   * @uniqueItems true
   */
  roles: string[];
}

/** MigrationRun */
export interface MigrationRun {
  counts: {
    done: number;
    failed: number;
    skipped: number;
    total: number;
  };
  /** @format date-time */
  createdAt: string;
  error: {
    code: string;
    message: string;
  };
  /** @format date-time */
  finishedAt: string | null;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  id: string;
  status:
    | "running"
    | "paused"
    | "halted"
    | "succeeded"
    | "failed"
    | "cancelled";
  target: {
    application: string | null;
    core: string | null;
  };
  wave: number;
  waves: {
    done: number;
    failed: number;
    size: number;
  }[];
}

/** MigrationRunDatabase */
export interface MigrationRunDatabase {
  error: {
    code: string;
    message: string;
  };
  /** @format date-time */
  finishedAt: string | null;
  schemaVersion: {
    application: string | null;
    core: string | null;
  };
  /** @format date-time */
  startedAt: string | null;
  state: "waiting" | "running" | "succeeded" | "failed" | "skipped";
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  tenantId: string | null;
  wave: number;
}

/** MigrationRunDatabaseList */
export interface MigrationRunDatabaseList {
  data: MigrationRunDatabase[];
  nextCursor: string | null;
}

/** MigrationRunList */
export interface MigrationRunList {
  data: MigrationRun[];
  nextCursor: string | null;
}

/** MigrationRunRequest */
export interface MigrationRunRequest {
  /**
   * Databases in the first wave of dedicated ones.
   * @min 0
   * @max 100000
   * @default 1
   */
  canary?: number;
  /**
   * Databases that are migrated at the same time.
   * @min 1
   * @max 1000
   * @default 8
   */
  concurrency?: number;
  /**
   * The run halts after so many failures.
   * @min 1
   * @max 1000000
   * @default 1
   */
  haltAfterFailures?: number;
  /**
   * How long a migration waits for a lock.
   * @min 10
   * @max 60000
   * @default 2000
   */
  lockTimeoutMs?: number;
  /**
   * The same, of one server.
   * @min 1
   * @max 1000
   * @default 2
   */
  perServer?: number;
  /**
   * When the shared database is migrated. It is a wave of its own.
   * @default "first"
   */
  shared?: "first" | "last" | "skip";
  /**
   * Only these, by code or id.
   * @maxItems 1000
   * @minItems 1
   */
  tenants?: string[];
  /**
   * Cumulative percents of the dedicated databases, ascending. The rest is one more wave.
   * @maxItems 100
   * @minItems 1
   * @default [10,50,100]
   */
  waves?: number[];
}

/** Migrations */
export interface Migrations {
  databases: {
    behind: number;
    current: number;
    drifted: number;
    failed: number;
    unreachable: number;
  };
  run: {
    counts: {
      done: number;
      failed: number;
      skipped: number;
      total: number;
    };
    /** @format date-time */
    createdAt: string;
    error: {
      code: string;
      message: string;
    };
    /** @format date-time */
    finishedAt: string | null;
    /**
     * @format uuid
     * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
     */
    id: string;
    status:
      | "running"
      | "paused"
      | "halted"
      | "succeeded"
      | "failed"
      | "cancelled";
    target: {
      application: string | null;
      core: string | null;
    };
    wave: number;
    waves: {
      done: number;
      failed: number;
      size: number;
    }[];
  };
  target: {
    application: string | null;
    core: string | null;
  };
}

/** NewAccount */
export interface NewAccount {
  /**
   * @minLength 1
   * @maxLength 254
   * @pattern ^[^\u0000]*$
   */
  email: string;
  /** @maxItems 100 */
  memberships?: {
    /**
     * @maxItems 50
     * @uniqueItems true
     */
    roles: string[];
    /**
     * @format uuid
     * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
     */
    tenantId: string;
  }[];
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  name?: string | null;
  /**
   * @minLength 1
   * @maxLength 1024
   */
  password: string;
  /**
   * @maxItems 50
   * @uniqueItems true
   */
  roles?: string[];
}

/** NewCharge */
export interface NewCharge {
  /**
   * @min -9007199254740991
   * @max 9007199254740991
   */
  amountCents: number;
  /** @pattern ^[A-Z]{3}$ */
  currency: string;
  /** @format date */
  dueOn: string;
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  label: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  leaseId: string;
  status?: "due" | "paid" | "cancelled";
}

/** NewClientKey */
export interface NewClientKey {
  /** @format date-time */
  expiresAt?: string | null;
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  name: string;
  /**
   * @maxItems 100
   * @uniqueItems true
   */
  permissions: string[];
}

/** NewContact */
export interface NewContact {
  /**
   * @maxLength 254
   * @pattern ^[^\s@\u0000]+@[^\s@\u0000]+$
   */
  email?: string | null;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  lesseeId?: string | null;
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  name: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  ownerId?: string | null;
  /**
   * @minLength 1
   * @maxLength 50
   * @pattern ^[^\u0000]*$
   */
  phone?: string | null;
  /**
   * @minLength 1
   * @maxLength 100
   * @pattern ^[^\u0000]*$
   */
  role?: string | null;
}

/** NewCredit */
export interface NewCredit {
  /**
   * @min -2147483648
   * @max 2147483647
   */
  amount: number;
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  paymentReference: string;
}

/** NewDocument */
export interface NewDocument {
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  leaseId: string;
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  title: string;
}

/** NewEquipment */
export interface NewEquipment {
  /** @format date */
  acquiredOn?: string | null;
  condition?: "new" | "good" | "fair" | "poor";
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  name: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  roomId: string;
}

/** NewEstate */
export interface NewEstate {
  /**
   * @min 0
   * @max 1000000000
   */
  surfaceM2?: number | null;
  /**
   * @min -2147483648
   * @max 2147483647
   */
  floor?: number | null;
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  name: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  placeId: string;
  /**
   * @minLength 1
   * @maxLength 100
   * @pattern ^[^\u0000]*$
   */
  reference?: string | null;
}

/** NewLease */
export interface NewLease {
  /** @pattern ^[A-Z]{3}$ */
  currency: string;
  /**
   * @min 0
   * @max 9007199254740991
   */
  depositCents?: number | null;
  /** @format date */
  endsOn?: string | null;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  estateId: string;
  /**
   * @maxItems 20
   * @minItems 1
   * @uniqueItems true
   */
  lesseeIds: string[];
  /**
   * @min 0
   * @max 9007199254740991
   */
  rentCents: number;
  /** @format date */
  startsOn: string;
  status?: "draft" | "active" | "ended";
}

/** NewLessee */
export interface NewLessee {
  /**
   * @maxLength 254
   * @pattern ^[^\s@\u0000]+@[^\s@\u0000]+$
   */
  email?: string | null;
  kind: "person" | "company";
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  name: string;
  /**
   * @minLength 1
   * @maxLength 50
   * @pattern ^[^\u0000]*$
   */
  phone?: string | null;
}

/** NewOperator */
export interface NewOperator {
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  name: string;
  role: "admin" | "viewer";
}

/** NewOwner */
export interface NewOwner {
  /**
   * @maxLength 254
   * @pattern ^[^\s@\u0000]+@[^\s@\u0000]+$
   */
  email?: string | null;
  kind: "person" | "company";
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  name: string;
  /**
   * @minLength 1
   * @maxLength 50
   * @pattern ^[^\u0000]*$
   */
  phone?: string | null;
}

/** NewPlace */
export interface NewPlace {
  address?: {
    /**
     * @minLength 1
     * @maxLength 200
     * @pattern ^[^\u0000]*$
     */
    line1?: string | null;
    /**
     * @minLength 1
     * @maxLength 200
     * @pattern ^[^\u0000]*$
     */
    line2?: string | null;
    /**
     * @minLength 1
     * @maxLength 100
     * @pattern ^[^\u0000]*$
     */
    city?: string | null;
    /** @pattern ^[A-Z]{2}$ */
    country?: string | null;
    /**
     * @minLength 1
     * @maxLength 20
     * @pattern ^[^\u0000]*$
     */
    postalCode?: string | null;
  };
  kind?: "building" | "land" | "parking" | "other";
  /**
   * @min -90
   * @max 90
   */
  latitude?: number | null;
  /**
   * @min -180
   * @max 180
   */
  longitude?: number | null;
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  name: string;
}

/** NewRole */
export interface NewRole {
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  description?: string | null;
  /**
   * @minLength 1
   * @maxLength 100
   * @pattern ^[^\u0000]*$
   */
  name: string;
  /**
   * @maxItems 100
   * @uniqueItems true
   */
  permissions: string[];
}

/** NewRoom */
export interface NewRoom {
  /**
   * @min 0
   * @max 1000000000
   */
  surfaceM2?: number | null;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  estateId: string;
  /**
   * @minLength 1
   * @maxLength 50
   * @pattern ^[^\u0000]*$
   */
  kind?: string | null;
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  name: string;
}

/** NewServer */
export interface NewServer {
  /**
   * @minLength 1
   * @maxLength 262144
   * @pattern ^[^\u0000]*$
   */
  caCertificate?: string;
  /**
   * @min 0
   * @max 100000
   * @default 100
   */
  capacity: number;
  /** @minLength 1 */
  connectionString: string;
  /**
   * @minLength 1
   * @maxLength 100
   * @pattern ^[^\u0000]*$
   */
  name: string;
  /**
   * Databases to make in advance. Only 0 is accepted now.
   * @min 0
   * @max 100000
   * @default 0
   */
  ready: number;
  /**
   * @minLength 1
   * @maxLength 63
   * @pattern ^[^\u0000]*$
   */
  region?: string | null;
}

/** NewSignature */
export interface NewSignature {
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  documentId: string;
  /**
   * @maxLength 254
   * @pattern ^[^\s@\u0000]+@[^\s@\u0000]+$
   */
  signerEmail: string;
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  signerName: string;
}

/** NewSigningKey */
export interface NewSigningKey {
  algorithm: "HS256" | "ES256" | "EdDSA";
  /**
   * @minLength 1
   * @maxLength 1024
   */
  secret?: string;
}

/** NewTenant */
export interface NewTenant {
  admin?: {
    /**
     * @minLength 1
     * @maxLength 254
     * @pattern ^[^\u0000]*$
     */
    email: string;
    /**
     * @minLength 1
     * @maxLength 200
     * @pattern ^[^\u0000]*$
     */
    name?: string;
    /**
     * @minLength 1
     * @maxLength 1024
     */
    password: string;
  };
  authConfig?: {
    /**
     * @min 30
     * @max 86400
     */
    accessTokenSeconds?: number;
    lockout?: {
      /**
       * @min 1
       * @max 1000
       */
      attempts?: number;
      /**
       * @min 1
       * @max 86400
       */
      windowSeconds?: number;
    };
    passwordPolicy?: {
      /**
       * @min 8
       * @max 128
       */
      minLength?: number;
      requireMixed?: boolean;
    };
    /**
     * @min 0
     * @max 60
     */
    refreshReuseSeconds?: number;
    /**
     * @min 60
     * @max 31536000
     */
    refreshTokenSeconds?: number;
  };
  /** @pattern ^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$ */
  code: string;
  /**
   * @maxItems 50
   * @uniqueItems true
   */
  externalIds?: {
    /**
     * @maxLength 255
     * @pattern ^[^\p{C}\p{Zl}\p{Zp}]+$
     */
    id: string;
    /**
     * @maxLength 1000
     * @pattern ^[!-~]+$
     */
    issuer: string;
  }[];
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  name: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  parentId?: string | null;
  /** @maxItems 50 */
  roles?: {
    /**
     * @minLength 1
     * @maxLength 200
     * @pattern ^[^\u0000]*$
     */
    description?: string | null;
    /**
     * @minLength 1
     * @maxLength 100
     * @pattern ^[^\u0000]*$
     */
    name: string;
    /**
     * @maxItems 100
     * @uniqueItems true
     */
    permissions: string[];
  }[];
}

/** NewUser */
export interface NewUser {
  /**
   * @minLength 1
   * @maxLength 254
   * @pattern ^[^\u0000]*$
   */
  email: string;
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  name?: string | null;
  /**
   * @minLength 1
   * @maxLength 1024
   */
  password: string;
  /**
   * @maxItems 50
   * @uniqueItems true
   */
  roles?: string[];
  /**
   * @minLength 1
   * @maxLength 50
   * @pattern ^[^\u0000]*$
   */
  taxNumber?: string | null;
  /**
   * @minLength 1
   * @maxLength 100
   * @pattern ^[^\u0000]*$
   */
  username?: string | null;
}

/** OpenApiDocument */
export type OpenApiDocument = Record<string, any>;

/** Operator */
export interface Operator {
  /** @format date-time */
  createdAt: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  id: string;
  name: string;
  prefix: string;
  role: "admin" | "viewer";
}

/** OperatorList */
export interface OperatorList {
  data: Operator[];
  nextCursor: string | null;
}

/** OwnTenant */
export interface OwnTenant {
  authConfig: AuthConfig;
  children: {
    code: string;
    /**
     * @format uuid
     * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
     */
    id: string;
    name: string;
    status: "ACTIVE" | "INACTIVE";
  }[];
  code: string;
  /** @format date-time */
  createdAt: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  id: string;
  name: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  parentId: string | null;
  status: "ACTIVE" | "INACTIVE";
  /** @format date-time */
  updatedAt: string;
}

/** Owner */
export interface Owner {
  /** @format date-time */
  createdAt: string;
  /**
   * @maxLength 254
   * @pattern ^[^\s@\u0000]+@[^\s@\u0000]+$
   */
  email: string | null;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  id: string;
  kind: "person" | "company";
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  name: string;
  /**
   * @minLength 1
   * @maxLength 50
   * @pattern ^[^\u0000]*$
   */
  phone: string | null;
  /** @format date-time */
  updatedAt: string;
}

/** OwnerList */
export interface OwnerList {
  data: Owner[];
  nextCursor: string | null;
}

/** OwnerPatch */
export interface OwnerPatch {
  /**
   * @maxLength 254
   * @pattern ^[^\s@\u0000]+@[^\s@\u0000]+$
   */
  email?: string | null;
  kind?: "person" | "company";
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  name?: string;
  /**
   * @minLength 1
   * @maxLength 50
   * @pattern ^[^\u0000]*$
   */
  phone?: string | null;
}

/** PasswordChange */
export interface PasswordChange {
  /**
   * @minLength 1
   * @maxLength 1024
   */
  currentPassword: string;
  /**
   * @minLength 1
   * @maxLength 1024
   */
  newPassword: string;
}

/** PatchedTenant */
export interface PatchedTenant {
  authConfig: AuthConfig;
  code: string;
  /** @format date-time */
  createdAt: string;
  database: RegisteredDatabase;
  effective?: {
    confirmed: number;
    replicas: number;
  };
  externalIds: {
    id: string;
    issuer: string;
  }[];
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  id: string;
  name: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  parentId: string | null;
  placement: "shared" | "dedicated";
  status: "ACTIVE" | "INACTIVE";
  /** @format date-time */
  updatedAt: string;
}

/** Payment */
export interface Payment {
  /**
   * @min 1
   * @max 2147483647
   */
  amount: number;
  /** @format date-time */
  createdAt: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  creditId: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  id: string;
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  paymentReference: string;
  /** @format date-time */
  updatedAt: string;
}

/** PaymentList */
export interface PaymentList {
  data: Payment[];
  nextCursor: string | null;
}

/** Permissions */
export interface Permissions {
  data: string[];
}

/** Place */
export interface Place {
  address: {
    /**
     * @minLength 1
     * @maxLength 200
     * @pattern ^[^\u0000]*$
     */
    line1?: string | null;
    /**
     * @minLength 1
     * @maxLength 200
     * @pattern ^[^\u0000]*$
     */
    line2?: string | null;
    /**
     * @minLength 1
     * @maxLength 100
     * @pattern ^[^\u0000]*$
     */
    city?: string | null;
    /** @pattern ^[A-Z]{2}$ */
    country?: string | null;
    /**
     * @minLength 1
     * @maxLength 20
     * @pattern ^[^\u0000]*$
     */
    postalCode?: string | null;
  };
  /** @format date-time */
  createdAt: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  id: string;
  kind: "building" | "land" | "parking" | "other";
  /**
   * @min -90
   * @max 90
   */
  latitude: number | null;
  /**
   * @min -180
   * @max 180
   */
  longitude: number | null;
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  name: string;
  /** @format date-time */
  updatedAt: string;
}

/** PlaceList */
export interface PlaceList {
  data: Place[];
  nextCursor: string | null;
}

/** PlacePatch */
export interface PlacePatch {
  address?: {
    /**
     * @minLength 1
     * @maxLength 200
     * @pattern ^[^\u0000]*$
     */
    line1?: string | null;
    /**
     * @minLength 1
     * @maxLength 200
     * @pattern ^[^\u0000]*$
     */
    line2?: string | null;
    /**
     * @minLength 1
     * @maxLength 100
     * @pattern ^[^\u0000]*$
     */
    city?: string | null;
    /** @pattern ^[A-Z]{2}$ */
    country?: string | null;
    /**
     * @minLength 1
     * @maxLength 20
     * @pattern ^[^\u0000]*$
     */
    postalCode?: string | null;
  };
  kind?: "building" | "land" | "parking" | "other";
  /**
   * @min -90
   * @max 90
   */
  latitude?: number | null;
  /**
   * @min -180
   * @max 180
   */
  longitude?: number | null;
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  name?: string;
}

/** Problem */
export interface Problem {
  code:
    | "VALIDATION_FAILED"
    | "MALFORMED_JSON"
    | "INVALID_CURSOR"
    | "TENANT_AMBIGUOUS"
    | "UNAUTHENTICATED"
    | "TOKEN_EXPIRED"
    | "TOKEN_INVALID"
    | "INVALID_CREDENTIALS"
    | "REFRESH_TOKEN_REUSED"
    | "PERMISSION_DENIED"
    | "CROSS_TENANT_ACCESS"
    | "OPERATOR_REQUIRED"
    | "ACCOUNT_LOCKED"
    | "TENANT_NOT_FOUND"
    | "NOT_FOUND"
    | "REFERENCE_NOT_FOUND"
    | "TENANT_CODE_TAKEN"
    | "EXTERNAL_ID_TAKEN"
    | "CONFLICT"
    | "DATABASE_IN_USE"
    | "MOVE_IN_PROGRESS"
    | "RUN_IN_PROGRESS"
    | "SERVER_IN_USE"
    | "WRONG_STATE"
    | "IDEMPOTENCY_MISMATCH"
    | "PRECONDITION_FAILED"
    | "PAYLOAD_TOO_LARGE"
    | "UNSUPPORTED_MEDIA_TYPE"
    | "RANGE_NOT_SATISFIABLE"
    | "PRECONDITION_REQUIRED"
    | "RATE_LIMITED"
    | "INTERNAL_ERROR"
    | "TENANT_DATABASE_PENDING"
    | "TENANT_DATABASE_UNAVAILABLE"
    | "TENANT_SCHEMA_OUT_OF_DATE"
    | "OUTCOME_UNKNOWN"
    | "NO_CONNECTION_AVAILABLE"
    | "CATALOG_UNAVAILABLE"
    | "SHUTTING_DOWN";
  detail?: string;
  errors?: {
    message: string;
    pointer: string;
  }[];
  instance?: string;
  requestId: string;
  required?: string;
  status: number;
  title: string;
  type: string;
}

/** Proof */
export interface Proof {
  /** @pattern ^[0-9a-f]{64}$ */
  documentSha256: string;
  /**
   * @minLength 1
   * @maxLength 100
   * @pattern ^[^\u0000]*$
   */
  address: string | null;
  /** @format date-time */
  createdAt: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  documentId: string;
  /** @pattern ^[0-9a-f]{64}$ */
  hash: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  id: string;
  /**
   * @min 1
   * @max 2147483647
   */
  number: number;
  /** @pattern ^[0-9a-f]{64}$ */
  previousHash: string | null;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  signatureId: string;
  /** @format date-time */
  signedAt: string;
  /**
   * @maxLength 254
   * @pattern ^[^\s@\u0000]+@[^\s@\u0000]+$
   */
  signerEmail: string;
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  signerName: string;
  /** @format date-time */
  updatedAt: string;
}

/** ProofList */
export interface ProofList {
  data: Proof[];
  nextCursor: string | null;
}

/** Readiness */
export interface Readiness {
  status:
    | "ready"
    | "starting"
    | "key-missing"
    | "connections-missing"
    | "draining";
  waitsFor?: "held-by-others" | "more-replicas-than-connections";
}

/** Refresh */
export interface Refresh {
  /**
   * @minLength 1
   * @maxLength 512
   * @pattern ^[^\u0000]*$
   */
  refreshToken: string;
}

/** RegisteredDatabase */
export interface RegisteredDatabase {
  connectionTimeoutSeconds: number;
  consecutiveFailures: number;
  database: string;
  databaseType: "postgres";
  encryptionKeyId: string | null;
  host: string;
  idleTimeoutSeconds: number;
  /** @format date-time */
  lastCheckedAt: string | null;
  lastError: {
    /** @format date-time */
    at: string;
    code: string;
    message: string;
  };
  moveRequired: boolean;
  placement: "shared" | "dedicated";
  poolSize: number;
  port: number;
  schemaVersion: {
    application: string | null;
    core: string | null;
  };
  serverVersion: string | null;
  sslMode: string;
  status: "pending_validation" | "active" | "failed" | "inactive";
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  tenantId: string;
  user: string;
  /** @format date-time */
  validatedAt: string | null;
}

/** Role */
export interface Role {
  /** @format date-time */
  createdAt: string;
  description: string | null;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  id: string;
  name: string;
  permissions: string[];
  /** @format date-time */
  updatedAt: string;
}

/** RoleList */
export interface RoleList {
  data: Role[];
  nextCursor: string | null;
}

/** RolePatch */
export interface RolePatch {
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  description?: string | null;
  /**
   * @minLength 1
   * @maxLength 100
   * @pattern ^[^\u0000]*$
   */
  name?: string;
  /**
   * @maxItems 100
   * @uniqueItems true
   */
  permissions?: string[];
}

/** Room */
export interface Room {
  /**
   * @min 0
   * @max 1000000000
   */
  surfaceM2: number | null;
  /** @format date-time */
  createdAt: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  estateId: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  id: string;
  /**
   * @minLength 1
   * @maxLength 50
   * @pattern ^[^\u0000]*$
   */
  kind: string | null;
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  name: string;
  /** @format date-time */
  updatedAt: string;
}

/** RoomList */
export interface RoomList {
  data: Room[];
  nextCursor: string | null;
}

/** RoomPatch */
export interface RoomPatch {
  /**
   * @min 0
   * @max 1000000000
   */
  surfaceM2?: number | null;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  estateId?: string;
  /**
   * @minLength 1
   * @maxLength 50
   * @pattern ^[^\u0000]*$
   */
  kind?: string | null;
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  name?: string;
}

/** SchemaList */
export interface SchemaList {
  data: DatabaseSchema[];
  nextCursor: string | null;
}

/** Server */
export interface Server {
  capacity: number;
  /** @format date-time */
  createdAt: string;
  databases: number;
  host: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  id: string;
  lastError: {
    /** @format date-time */
    at: string;
    code: string;
    message: string;
  };
  name: string;
  port: number;
  ready: {
    available: number;
    wanted: number;
  };
  region: string | null;
  status: "active" | "draining" | "unreachable";
}

/** ServerList */
export interface ServerList {
  data: Server[];
  nextCursor: string | null;
}

/** ServerPatch */
export interface ServerPatch {
  /**
   * @min 0
   * @max 100000
   */
  capacity?: number;
  /** @minLength 1 */
  connectionString?: string;
  /**
   * @minLength 1
   * @maxLength 100
   * @pattern ^[^\u0000]*$
   */
  name?: string;
  /**
   * Databases to make in advance. Only 0 is accepted now.
   * @min 0
   * @max 100000
   */
  ready?: number;
  /**
   * @minLength 1
   * @maxLength 63
   * @pattern ^[^\u0000]*$
   */
  region?: string | null;
  status?: "active" | "draining";
}

/** Signature */
export interface Signature {
  /** @format date-time */
  createdAt: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  documentId: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  id: string;
  /**
   * @maxLength 254
   * @pattern ^[^\s@\u0000]+@[^\s@\u0000]+$
   */
  signerEmail: string;
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  signerName: string;
  status: "pending" | "signed" | "declined";
  /** @format date-time */
  updatedAt: string;
}

/** SignatureList */
export interface SignatureList {
  data: Signature[];
  nextCursor: string | null;
}

/** SignaturePatch */
export interface SignaturePatch {
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  documentId?: string;
  /**
   * @maxLength 254
   * @pattern ^[^\s@\u0000]+@[^\s@\u0000]+$
   */
  signerEmail?: string;
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  signerName?: string;
}

/** SigningKey */
export interface SigningKey {
  algorithm: "EdDSA" | "ES256" | "HS256";
  /** @format date-time */
  createdAt: string;
  kid: string;
}

/** Status */
export interface Status {
  status: "ok";
}

/** Tenant */
export interface Tenant {
  authConfig: AuthConfig;
  code: string;
  /** @format date-time */
  createdAt: string;
  database: RegisteredDatabase;
  externalIds: {
    id: string;
    issuer: string;
  }[];
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  id: string;
  name: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  parentId: string | null;
  placement: "shared" | "dedicated";
  status: "ACTIVE" | "INACTIVE";
  /** @format date-time */
  updatedAt: string;
}

/** TenantList */
export interface TenantList {
  data: Tenant[];
  nextCursor: string | null;
}

/** TenantPatch */
export interface TenantPatch {
  authConfig?: {
    /**
     * @min 30
     * @max 86400
     */
    accessTokenSeconds?: number;
    lockout?: {
      /**
       * @min 1
       * @max 1000
       */
      attempts?: number;
      /**
       * @min 1
       * @max 86400
       */
      windowSeconds?: number;
    };
    passwordPolicy?: {
      /**
       * @min 8
       * @max 128
       */
      minLength?: number;
      requireMixed?: boolean;
    };
    /**
     * @min 0
     * @max 60
     */
    refreshReuseSeconds?: number;
    /**
     * @min 60
     * @max 31536000
     */
    refreshTokenSeconds?: number;
  };
  /**
   * @maxItems 50
   * @uniqueItems true
   */
  externalIds?: {
    /**
     * @maxLength 255
     * @pattern ^[^\p{C}\p{Zl}\p{Zp}]+$
     */
    id: string;
    /**
     * @maxLength 1000
     * @pattern ^[!-~]+$
     */
    issuer: string;
  }[];
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  name?: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  parentId?: string | null;
  status?: "ACTIVE" | "INACTIVE";
}

/** TokenPair */
export interface TokenPair {
  accessToken: string;
  expiresIn: number;
  refreshToken: string;
  tokenType: "Bearer";
}

/** User */
export interface User {
  /** @format date-time */
  createdAt: string;
  email: string;
  /**
   * @format uuid
   * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
   */
  id: string;
  name: string | null;
  roles: string[];
  status: "ACTIVE" | "INACTIVE";
  taxNumber: string | null;
  /** @format date-time */
  updatedAt: string;
  username: string | null;
}

/** UserList */
export interface UserList {
  data: User[];
  nextCursor: string | null;
}

/** UserPatch */
export interface UserPatch {
  /**
   * @minLength 1
   * @maxLength 254
   * @pattern ^[^\u0000]*$
   */
  email?: string;
  /**
   * @minLength 1
   * @maxLength 200
   * @pattern ^[^\u0000]*$
   */
  name?: string | null;
  /**
   * @minLength 1
   * @maxLength 1024
   */
  password?: string;
  /**
   * @maxItems 50
   * @uniqueItems true
   */
  roles?: string[];
  status?: "ACTIVE" | "INACTIVE";
  /**
   * @minLength 1
   * @maxLength 50
   * @pattern ^[^\u0000]*$
   */
  taxNumber?: string | null;
  /**
   * @minLength 1
   * @maxLength 100
   * @pattern ^[^\u0000]*$
   */
  username?: string | null;
}

export type QueryParamsType = Record<string | number, any>;
export type ResponseFormat = "arrayBuffer" | "blob" | "formData" | "json" | "text";

export interface FullRequestParams extends Omit<RequestInit, "body"> {
  /** set parameter to `true` for call `securityWorker` for this request */
  secure?: boolean;
  /** request path */
  path: string;
  /** content type of request body */
  type?: ContentType;
  /** query params */
  query?: QueryParamsType | undefined;
  /** format of response (i.e. response.json() -> format: "json") */
  format?: ResponseFormat;
  /** request body */
  body?: unknown;
  /** base url */
  baseUrl?: string;
  /** request cancellation token */
  cancelToken?: CancelToken;
}

export type RequestParams = Omit<
  FullRequestParams,
  "body" | "method" | "query" | "path"
>;

export interface ApiConfig<SecurityDataType = unknown> {
  baseUrl?: string;
  baseApiParams?: Omit<RequestParams, "baseUrl" | "cancelToken" | "signal">;
  securityWorker?: (
    securityData: SecurityDataType | null,
  ) => Promise<RequestParams | void> | RequestParams | void;
  customFetch?: typeof fetch;
}

export interface HttpResponse<D extends unknown, E extends unknown = unknown>
  extends Response {
  data: D;
  error: E;
}

type CancelToken = Symbol | string | number;

export type ContentType =
  | "application/json"
  | "application/vnd.api+json"
  | "multipart/form-data"
  | "application/x-www-form-urlencoded"
  | "text/plain";

export class HttpClient<SecurityDataType = unknown> {
  public baseUrl: string = "/";
  private securityData: SecurityDataType | null = null;
  private securityWorker?: ApiConfig<SecurityDataType>["securityWorker"];
  private abortControllers = new Map<CancelToken, AbortController>();
  private customFetch = (...fetchParams: Parameters<typeof fetch>) =>
    fetch(...fetchParams);

  private baseApiParams: RequestParams = {
    credentials: "same-origin",
    headers: {},
    redirect: "follow",
    referrerPolicy: "no-referrer",
  };

  constructor(apiConfig: ApiConfig<SecurityDataType> = {}) {
    Object.assign(this, apiConfig);
  }

  public setSecurityData = (data: SecurityDataType | null) => {
    this.securityData = data;
  };

  protected encodeQueryParam(key: string, value: any) {
    const encodedKey = encodeURIComponent(key);
    return `${encodedKey}=${encodeURIComponent(typeof value === "number" ? value : `${value}`)}`;
  }

  protected addQueryParam(query: QueryParamsType, key: string) {
    return this.encodeQueryParam(key, query[key]);
  }

  protected addArrayQueryParam(query: QueryParamsType, key: string) {
    const value = query[key];
    return value.map((v: any) => this.encodeQueryParam(key, v)).join("&");
  }

  protected toQueryString(rawQuery?: QueryParamsType): string {
    const query = rawQuery || {};
    const keys = Object.keys(query).filter(
      (key) => "undefined" !== typeof query[key],
    );
    return keys
      .map((key) =>
        Array.isArray(query[key])
          ? this.addArrayQueryParam(query, key)
          : this.addQueryParam(query, key),
      )
      .join("&");
  }

  protected addQueryParams(rawQuery?: QueryParamsType): string {
    const queryString = this.toQueryString(rawQuery);
    return queryString ? `?${queryString}` : "";
  }

  private contentFormatters: Record<ContentType, (input: any) => any> = {
    ["application/json"]: (input: any) =>
      input !== null && (typeof input === "object" || typeof input === "string")
        ? JSON.stringify(input)
        : input,
    ["application/vnd.api+json"]: (input: any) =>
      input !== null && (typeof input === "object" || typeof input === "string")
        ? JSON.stringify(input)
        : input,
    ["text/plain"]: (input: any) =>
      input !== null && typeof input !== "string"
        ? JSON.stringify(input)
        : input,
    ["multipart/form-data"]: (input: any) => {
      if (input instanceof FormData) {
        return input;
      }

      return Object.keys(input || {}).reduce((formData, key) => {
        const property = input[key];
        formData.append(
          key,
          property instanceof Blob
            ? property
            : typeof property === "object" && property !== null
              ? JSON.stringify(property)
              : `${property}`,
        );
        return formData;
      }, new FormData());
    },
    ["application/x-www-form-urlencoded"]: (input: any) =>
      this.toQueryString(input),
  };

  protected mergeRequestParams(
    params1: RequestParams,
    params2?: RequestParams,
  ): RequestParams {
    return {
      ...this.baseApiParams,
      ...params1,
      ...(params2 || {}),
      headers: {
        ...(this.baseApiParams.headers || {}),
        ...(params1.headers || {}),
        ...((params2 && params2.headers) || {}),
      },
    };
  }

  protected createAbortSignal = (
    cancelToken: CancelToken,
  ): AbortSignal | undefined => {
    if (this.abortControllers.has(cancelToken)) {
      const abortController = this.abortControllers.get(cancelToken);
      if (abortController) {
        return abortController.signal;
      }
      return void 0;
    }

    const abortController = new AbortController();
    this.abortControllers.set(cancelToken, abortController);
    return abortController.signal;
  };

  public abortRequest = (cancelToken: CancelToken) => {
    const abortController = this.abortControllers.get(cancelToken);

    if (abortController) {
      abortController.abort();
      this.abortControllers.delete(cancelToken);
    }
  };

  public request = async <T = any, E = any>({
    body,
    secure,
    path,
    type,
    query,
    format,
    baseUrl,
    cancelToken,
    ...params
  }: FullRequestParams): Promise<HttpResponse<T, E>> => {
    const secureParams =
      ((typeof secure === "boolean" ? secure : this.baseApiParams.secure) &&
        this.securityWorker &&
        (await this.securityWorker(this.securityData))) ||
      {};
    const requestParams = this.mergeRequestParams(params, secureParams);
    const queryString = query && this.toQueryString(query);
    const payloadFormatter = this.contentFormatters[type || "application/json"];
    const responseFormat = format || requestParams.format;

    return this.customFetch(
      `${baseUrl || this.baseUrl || ""}${path}${queryString ? `?${queryString}` : ""}`,
      {
        ...requestParams,
        headers: {
          ...(requestParams.headers || {}),
          ...(type && type !== "multipart/form-data"
            ? { "Content-Type": type }
            : {}),
        },
        signal:
          (cancelToken
            ? this.createAbortSignal(cancelToken)
            : requestParams.signal) || null,
        body:
          typeof body === "undefined" || body === null
            ? null
            : payloadFormatter(body),
      },
    ).then(async (response) => {
      const r = response as HttpResponse<T, E>;
      r.data = null as unknown as T;
      r.error = null as unknown as E;

      const responseToParse = responseFormat ? response.clone() : response;
      const data = !responseFormat
        ? r
        : await responseToParse[responseFormat]()
            .then((data: any) => {
              if (r.ok) {
                r.data = data;
              } else {
                r.error = data;
              }
              return r;
            })
            .catch((e) => {
              r.error = e;
              return r;
            });

      if (cancelToken) {
        this.abortControllers.delete(cancelToken);
      }

      if (!response.ok) throw data;
      return data;
    });
  };
}

/**
 * @title Freehold
 * @version 0
 * @license Apache-2.0
 * @baseUrl /
 *
 * Each tenant has its rows in a shared database or in a dedicated database. The API is the same in both cases:
 * the credential decides which tenant's rows a request reaches. Users of a tenant, accounts with several tenants, people of a
 * trusted issuer, and programs with a client key call the same paths. Operators have paths of their own.
 *
 * Errors are `application/problem+json` with a `code`. Every path answers `OPTIONS` with `Allow`. Every path that answers
 * `GET` also answers `HEAD`.
 */
export class Api<
  SecurityDataType extends unknown,
> extends HttpClient<SecurityDataType> {
  docs = {
    /**
     * @description OpenAPI 3.1. `/docs` shows it as a page.
     *
     * @tags docs
     * @name ReadDocument
     * @summary Read this document
     * @request GET:/openapi.json
     */
    readDocument: (params: RequestParams = {}) =>
      this.request<OpenApiDocument, Problem>({
        path: `/openapi.json`,
        method: "GET",
        format: "json",
        ...params,
      }),
  };
  probes = {
    /**
     * @description Answers 200 as long as the process can answer at all.
     *
     * @tags probes
     * @name IsAlive
     * @summary Ask whether the process runs
     * @request GET:/livez
     */
    isAlive: (params: RequestParams = {}) =>
      this.request<Status, Problem>({
        path: `/livez`,
        method: "GET",
        format: "json",
        ...params,
      }),

    /**
     * @description A load balancer should send requests only to gateways that answer 200.
     *
     * @tags probes
     * @name IsReady
     * @summary Ask whether the gateway serves
     * @request GET:/readyz
     */
    isReady: (params: RequestParams = {}) =>
      this.request<Readiness, Problem | Readiness>({
        path: `/readyz`,
        method: "GET",
        format: "json",
        ...params,
      }),

    /**
     * @description The parts are checked at most once a second for all requests together.
     *
     * @tags probes
     * @name ReadHealth
     * @summary Read the state of each part of the gateway
     * @request GET:/health
     */
    readHealth: (params: RequestParams = {}) =>
      this.request<Health, Problem | Health>({
        path: `/health`,
        method: "GET",
        format: "json",
        ...params,
      }),

    /**
     * @description In the text format of Prometheus.
     *
     * @tags probes
     * @name ReadMetrics
     * @summary Read the metrics
     * @request GET:/metrics
     */
    readMetrics: (params: RequestParams = {}) =>
      this.request<string, Problem>({
        path: `/metrics`,
        method: "GET",
        ...params,
      }),
  };
  auth = {
    /**
     * @description Ends all login sessions of the user and revokes all access tokens of the user.
     *
     * @tags auth
     * @name ChangePassword
     * @summary Change the caller's own password
     * @request POST:/api/v1/auth/password
     * @secure
     */
    changePassword: (data: PasswordChange, params: RequestParams = {}) =>
      this.request<void, Problem>({
        path: `/api/v1/auth/password`,
        method: "POST",
        body: data,
        secure: true,
        type: "application/json",
        ...params,
      }),

    /**
     * @description Give `email` or `username`, not both. Some wrong passwords in a row lock the user for a while.
     *
     * @tags auth
     * @name Login
     * @summary Log in to a tenant with a password
     * @request POST:/api/v1/auth/login
     */
    login: (data: Login, params: RequestParams = {}) =>
      this.request<TokenPair, Problem>({
        path: `/api/v1/auth/login`,
        method: "POST",
        body: data,
        type: "application/json",
        format: "json",
        ...params,
      }),

    /**
     * @description The access token is valid in all tenants of the account. There is no refresh token.
     *
     * @tags auth
     * @name LoginAccount
     * @summary Log in to an account
     * @request POST:/api/v1/auth/accounts/login
     */
    loginAccount: (data: AccountLogin, params: RequestParams = {}) =>
      this.request<AccountToken, Problem>({
        path: `/api/v1/auth/accounts/login`,
        method: "POST",
        body: data,
        type: "application/json",
        format: "json",
        ...params,
      }),

    /**
     * @description The refresh tokens of an ended login session are not valid any more.
     *
     * @tags auth
     * @name Logout
     * @summary End one login session or all of them
     * @request POST:/api/v1/auth/logout
     */
    logout: (data: Logout, params: RequestParams = {}) =>
      this.request<void, Problem>({
        path: `/api/v1/auth/logout`,
        method: "POST",
        body: data,
        type: "application/json",
        ...params,
      }),

    /**
     * @description With these keys programs verify access tokens of tenants that have no key of their own.
     *
     * @tags auth
     * @name ReadKeys
     * @summary Read the public keys of the service
     * @request GET:/.well-known/jwks.json
     */
    readKeys: (params: RequestParams = {}) =>
      this.request<Jwks, Problem>({
        path: `/.well-known/jwks.json`,
        method: "GET",
        format: "json",
        ...params,
      }),

    /**
     * @description A user has `user`. Any other caller has `user: null` and one of `clientKey`, `account` and `external`.
     *
     * @tags auth
     * @name ReadMe
     * @summary Read who calls, and with which permissions
     * @request GET:/api/v1/auth/me
     * @secure
     */
    readMe: (params: RequestParams = {}) =>
      this.request<Me, Problem>({
        path: `/api/v1/auth/me`,
        method: "GET",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description The list is empty for a tenant that has no key of its own.
     *
     * @tags auth
     * @name ReadTenantKeys
     * @summary Read the public keys of a tenant
     * @request GET:/.well-known/tenants/{code}/jwks.json
     */
    readTenantKeys: (code: string, params: RequestParams = {}) =>
      this.request<Jwks, Problem>({
        path: `/.well-known/tenants/${code}/jwks.json`,
        method: "GET",
        format: "json",
        ...params,
      }),

    /**
     * @description A refresh token is valid once. If it is used again after `refreshReuseSeconds`, its login session ends.
     *
     * @tags auth
     * @name Refresh
     * @summary Exchange a refresh token for a new pair of tokens
     * @request POST:/api/v1/auth/refresh
     */
    refresh: (data: Refresh, params: RequestParams = {}) =>
      this.request<TokenPair, Problem>({
        path: `/api/v1/auth/refresh`,
        method: "POST",
        body: data,
        type: "application/json",
        format: "json",
        ...params,
      }),
  };
  tenant = {
    /**
     * @description Answers also while the tenant's database is down, and then sets `Freehold-Degraded`.
     *
     * @tags tenant
     * @name ReadOwnTenant
     * @summary Read the caller's tenant
     * @request GET:/api/v1/tenant
     * @secure
     */
    readOwnTenant: (params: RequestParams = {}) =>
      this.request<OwnTenant, Problem>({
        path: `/api/v1/tenant`,
        method: "GET",
        secure: true,
        format: "json",
        ...params,
      }),
  };
  users = {
    /**
     * @description The caller must hold each permission of the roles that the user gets.
     *
     * @tags users
     * @name CreateUser
     * @summary Create a user
     * @request POST:/api/v1/users
     * @secure
     */
    createUser: (data: NewUser, params: RequestParams = {}) =>
      this.request<User, Problem>({
        path: `/api/v1/users`,
        method: "POST",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),

    /**
     * @description By id.
     *
     * @tags users
     * @name FindUser
     * @summary Find a user
     * @request GET:/api/v1/users/{id}
     * @secure
     */
    findUser: (id: string, params: RequestParams = {}) =>
      this.request<User, Problem>({
        path: `/api/v1/users/${id}`,
        method: "GET",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description Sorted by id, a page at a time.
     *
     * @tags users
     * @name ListUsers
     * @summary List the users of the caller's tenant
     * @request GET:/api/v1/users
     * @secure
     */
    listUsers: (
      query?: {
        /**
         * The `nextCursor` of the page before.
         * @minLength 1
         * @maxLength 512
         */
        cursor?: string;
        /**
         * Rows in a page.
         * @min 1
         * @max 200
         * @default 50
         */
        limit?: number;
      },
      params: RequestParams = {},
    ) =>
      this.request<UserList, Problem>({
        path: `/api/v1/users`,
        method: "GET",
        query: query,
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description Ends the user's login sessions and revokes the user's access tokens.
     *
     * @tags users
     * @name RemoveUser
     * @summary Remove a user
     * @request DELETE:/api/v1/users/{id}
     * @secure
     */
    removeUser: (id: string, params: RequestParams = {}) =>
      this.request<void, Problem>({
        path: `/api/v1/users/${id}`,
        method: "DELETE",
        secure: true,
        ...params,
      }),

    /**
     * @description A new password, other roles and the status INACTIVE revoke the user's access tokens.
     *
     * @tags users
     * @name UpdateUser
     * @summary Update a user
     * @request PATCH:/api/v1/users/{id}
     * @secure
     */
    updateUser: (id: string, data: UserPatch, params: RequestParams = {}) =>
      this.request<User, Problem>({
        path: `/api/v1/users/${id}`,
        method: "PATCH",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),
  };
  roles = {
    /**
     * @description The caller must hold each permission that the role gets.
     *
     * @tags roles
     * @name CreateRole
     * @summary Create a role
     * @request POST:/api/v1/roles
     * @secure
     */
    createRole: (data: NewRole, params: RequestParams = {}) =>
      this.request<Role, Problem>({
        path: `/api/v1/roles`,
        method: "POST",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),

    /**
     * @description By id.
     *
     * @tags roles
     * @name FindRole
     * @summary Find a role
     * @request GET:/api/v1/roles/{id}
     * @secure
     */
    findRole: (id: string, params: RequestParams = {}) =>
      this.request<Role, Problem>({
        path: `/api/v1/roles/${id}`,
        method: "GET",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description The application's permissions come first, then Freehold's own.
     *
     * @tags roles
     * @name ListPermissions
     * @summary List the permissions that endpoints ask for
     * @request GET:/api/v1/permissions
     * @secure
     */
    listPermissions: (params: RequestParams = {}) =>
      this.request<Permissions, Problem>({
        path: `/api/v1/permissions`,
        method: "GET",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description Sorted by id, a page at a time.
     *
     * @tags roles
     * @name ListRoles
     * @summary List the roles of the caller's tenant
     * @request GET:/api/v1/roles
     * @secure
     */
    listRoles: (
      query?: {
        /**
         * The `nextCursor` of the page before.
         * @minLength 1
         * @maxLength 512
         */
        cursor?: string;
        /**
         * Rows in a page.
         * @min 1
         * @max 200
         * @default 50
         */
        limit?: number;
      },
      params: RequestParams = {},
    ) =>
      this.request<RoleList, Problem>({
        path: `/api/v1/roles`,
        method: "GET",
        query: query,
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description A role that a user has is not removed.
     *
     * @tags roles
     * @name RemoveRole
     * @summary Remove a role
     * @request DELETE:/api/v1/roles/{id}
     * @secure
     */
    removeRole: (id: string, params: RequestParams = {}) =>
      this.request<void, Problem>({
        path: `/api/v1/roles/${id}`,
        method: "DELETE",
        secure: true,
        ...params,
      }),

    /**
     * @description A change that takes a permission away revokes the access tokens of users with this role.
     *
     * @tags roles
     * @name UpdateRole
     * @summary Update a role
     * @request PATCH:/api/v1/roles/{id}
     * @secure
     */
    updateRole: (id: string, data: RolePatch, params: RequestParams = {}) =>
      this.request<Role, Problem>({
        path: `/api/v1/roles/${id}`,
        method: "PATCH",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),
  };
  clientKeys = {
    /**
     * @description Only this answer shows the key. The caller must hold each permission that the key gets.
     *
     * @tags client-keys
     * @name CreateClientKey
     * @summary Create a client key
     * @request POST:/api/v1/client-keys
     * @secure
     */
    createClientKey: (data: NewClientKey, params: RequestParams = {}) =>
      this.request<CreatedClientKey, Problem>({
        path: `/api/v1/client-keys`,
        method: "POST",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),

    /**
     * @description The answer does not show the key itself.
     *
     * @tags client-keys
     * @name FindClientKey
     * @summary Find a client key
     * @request GET:/api/v1/client-keys/{id}
     * @secure
     */
    findClientKey: (id: string, params: RequestParams = {}) =>
      this.request<ClientKey, Problem>({
        path: `/api/v1/client-keys/${id}`,
        method: "GET",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description No answer but the one that creates a key shows the key itself.
     *
     * @tags client-keys
     * @name ListClientKeys
     * @summary List the client keys of the caller's tenant
     * @request GET:/api/v1/client-keys
     * @secure
     */
    listClientKeys: (
      query?: {
        /**
         * The `nextCursor` of the page before.
         * @minLength 1
         * @maxLength 512
         */
        cursor?: string;
        /**
         * Rows in a page.
         * @min 1
         * @max 200
         * @default 50
         */
        limit?: number;
      },
      params: RequestParams = {},
    ) =>
      this.request<ClientKeyList, Problem>({
        path: `/api/v1/client-keys`,
        method: "GET",
        query: query,
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description Takes effect at once. The caller must hold each permission of the key.
     *
     * @tags client-keys
     * @name RevokeClientKey
     * @summary Revoke a client key
     * @request DELETE:/api/v1/client-keys/{id}
     * @secure
     */
    revokeClientKey: (id: string, params: RequestParams = {}) =>
      this.request<void, Problem>({
        path: `/api/v1/client-keys/${id}`,
        method: "DELETE",
        secure: true,
        ...params,
      }),
  };
  operatorsTenants = {
    /**
     * @description The tenant starts in the shared database, with its roles and its first administrator. Its code can never be used again.
     *
     * @tags operators: tenants
     * @name CreateTenant
     * @summary Create a tenant
     * @request POST:/api/v1/tenants
     * @secure
     */
    createTenant: (data: NewTenant, params: RequestParams = {}) =>
      this.request<Tenant, Problem>({
        path: `/api/v1/tenants`,
        method: "POST",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),

    /**
     * @description Only this answer shows the key.
     *
     * @tags operators: tenants
     * @name CreateTenantClientKey
     * @summary Create a client key of a tenant
     * @request POST:/api/v1/tenants/{id}/client-keys
     * @secure
     */
    createTenantClientKey: (
      id: string,
      data: NewClientKey,
      params: RequestParams = {},
    ) =>
      this.request<CreatedClientKey, Problem>({
        path: `/api/v1/tenants/${id}/client-keys`,
        method: "POST",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),

    /**
     * @description The role may get any permission.
     *
     * @tags operators: tenants
     * @name CreateTenantRole
     * @summary Create a role of a tenant
     * @request POST:/api/v1/tenants/{id}/roles
     * @secure
     */
    createTenantRole: (id: string, data: NewRole, params: RequestParams = {}) =>
      this.request<Role, Problem>({
        path: `/api/v1/tenants/${id}/roles`,
        method: "POST",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),

    /**
     * @description The user may get any role of the tenant.
     *
     * @tags operators: tenants
     * @name CreateTenantUser
     * @summary Create a user of a tenant
     * @request POST:/api/v1/tenants/{id}/users
     * @secure
     */
    createTenantUser: (id: string, data: NewUser, params: RequestParams = {}) =>
      this.request<User, Problem>({
        path: `/api/v1/tenants/${id}/users`,
        method: "POST",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),

    /**
     * @description As this gateway sees it: the tenant, its database, pool, breaker and schema. `would` has `ok` or the code of the error. Opens no connection to the dedicated database.
     *
     * @tags operators: tenants
     * @name ExplainTenant
     * @summary Explain what a request of a tenant would get now
     * @request GET:/api/v1/tenants/{id}/explain
     * @secure
     */
    explainTenant: (id: string, params: RequestParams = {}) =>
      this.request<Explanation, Problem>({
        path: `/api/v1/tenants/${id}/explain`,
        method: "GET",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description By id. The answer says where its rows are.
     *
     * @tags operators: tenants
     * @name FindTenant
     * @summary Find a tenant
     * @request GET:/api/v1/tenants/{id}
     * @secure
     */
    findTenant: (id: string, params: RequestParams = {}) =>
      this.request<Tenant, Problem>({
        path: `/api/v1/tenants/${id}`,
        method: "GET",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description The answer does not show the key itself.
     *
     * @tags operators: tenants
     * @name FindTenantClientKey
     * @summary Find a client key of a tenant
     * @request GET:/api/v1/tenants/{id}/client-keys/{keyId}
     * @secure
     */
    findTenantClientKey: (
      id: string,
      keyId: string,
      params: RequestParams = {},
    ) =>
      this.request<ClientKey, Problem>({
        path: `/api/v1/tenants/${id}/client-keys/${keyId}`,
        method: "GET",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description By id.
     *
     * @tags operators: tenants
     * @name FindTenantRole
     * @summary Find a role of a tenant
     * @request GET:/api/v1/tenants/{id}/roles/{roleId}
     * @secure
     */
    findTenantRole: (id: string, roleId: string, params: RequestParams = {}) =>
      this.request<Role, Problem>({
        path: `/api/v1/tenants/${id}/roles/${roleId}`,
        method: "GET",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description By id.
     *
     * @tags operators: tenants
     * @name FindTenantUser
     * @summary Find a user of a tenant
     * @request GET:/api/v1/tenants/{id}/users/{userId}
     * @secure
     */
    findTenantUser: (id: string, userId: string, params: RequestParams = {}) =>
      this.request<User, Problem>({
        path: `/api/v1/tenants/${id}/users/${userId}`,
        method: "GET",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description No answer but the one that creates a key shows the key itself.
     *
     * @tags operators: tenants
     * @name ListTenantClientKeys
     * @summary List the client keys of a tenant
     * @request GET:/api/v1/tenants/{id}/client-keys
     * @secure
     */
    listTenantClientKeys: (
      id: string,
      query?: {
        /**
         * The `nextCursor` of the page before.
         * @minLength 1
         * @maxLength 512
         */
        cursor?: string;
        /**
         * Rows in a page.
         * @min 1
         * @max 200
         * @default 50
         */
        limit?: number;
      },
      params: RequestParams = {},
    ) =>
      this.request<ClientKeyList, Problem>({
        path: `/api/v1/tenants/${id}/client-keys`,
        method: "GET",
        query: query,
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description Sorted by id, a page at a time.
     *
     * @tags operators: tenants
     * @name ListTenantRoles
     * @summary List the roles of a tenant
     * @request GET:/api/v1/tenants/{id}/roles
     * @secure
     */
    listTenantRoles: (
      id: string,
      query?: {
        /**
         * The `nextCursor` of the page before.
         * @minLength 1
         * @maxLength 512
         */
        cursor?: string;
        /**
         * Rows in a page.
         * @min 1
         * @max 200
         * @default 50
         */
        limit?: number;
      },
      params: RequestParams = {},
    ) =>
      this.request<RoleList, Problem>({
        path: `/api/v1/tenants/${id}/roles`,
        method: "GET",
        query: query,
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description Sorted by id, a page at a time. `q` searches codes and names.
     *
     * @tags operators: tenants
     * @name ListTenants
     * @summary List the tenants
     * @request GET:/api/v1/tenants
     * @secure
     */
    listTenants: (
      query?: {
        /**
         * The `nextCursor` of the page before.
         * @minLength 1
         * @maxLength 512
         */
        cursor?: string;
        /**
         * Rows in a page.
         * @min 1
         * @max 200
         * @default 50
         */
        limit?: number;
        /**
         * @format uuid
         * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
         */
        parentId?: string;
        placement?: "shared" | "dedicated";
        /**
         * @minLength 1
         * @maxLength 200
         * @pattern ^[^\u0000]*$
         */
        q?: string;
        status?: "ACTIVE" | "INACTIVE";
      },
      params: RequestParams = {},
    ) =>
      this.request<TenantList, Problem>({
        path: `/api/v1/tenants`,
        method: "GET",
        query: query,
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description Sorted by id, a page at a time.
     *
     * @tags operators: tenants
     * @name ListTenantUsers
     * @summary List the users of a tenant
     * @request GET:/api/v1/tenants/{id}/users
     * @secure
     */
    listTenantUsers: (
      id: string,
      query?: {
        /**
         * The `nextCursor` of the page before.
         * @minLength 1
         * @maxLength 512
         */
        cursor?: string;
        /**
         * Rows in a page.
         * @min 1
         * @max 200
         * @default 50
         */
        limit?: number;
      },
      params: RequestParams = {},
    ) =>
      this.request<UserList, Problem>({
        path: `/api/v1/tenants/${id}/users`,
        method: "GET",
        query: query,
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description A role that a user has is not removed.
     *
     * @tags operators: tenants
     * @name RemoveTenantRole
     * @summary Remove a role of a tenant
     * @request DELETE:/api/v1/tenants/{id}/roles/{roleId}
     * @secure
     */
    removeTenantRole: (
      id: string,
      roleId: string,
      params: RequestParams = {},
    ) =>
      this.request<void, Problem>({
        path: `/api/v1/tenants/${id}/roles/${roleId}`,
        method: "DELETE",
        secure: true,
        ...params,
      }),

    /**
     * @description Ends the user's login sessions and revokes the user's access tokens.
     *
     * @tags operators: tenants
     * @name RemoveTenantUser
     * @summary Remove a user of a tenant
     * @request DELETE:/api/v1/tenants/{id}/users/{userId}
     * @secure
     */
    removeTenantUser: (
      id: string,
      userId: string,
      params: RequestParams = {},
    ) =>
      this.request<void, Problem>({
        path: `/api/v1/tenants/${id}/users/${userId}`,
        method: "DELETE",
        secure: true,
        ...params,
      }),

    /**
     * @description Takes effect at once.
     *
     * @tags operators: tenants
     * @name RevokeTenantClientKey
     * @summary Revoke a client key of a tenant
     * @request DELETE:/api/v1/tenants/{id}/client-keys/{keyId}
     * @secure
     */
    revokeTenantClientKey: (
      id: string,
      keyId: string,
      params: RequestParams = {},
    ) =>
      this.request<void, Problem>({
        path: `/api/v1/tenants/${id}/client-keys/${keyId}`,
        method: "DELETE",
        secure: true,
        ...params,
      }),

    /**
     * @description Parts that are left out keep their value. `effective` says how many gateways apply a suspension when this is answered.
     *
     * @tags operators: tenants
     * @name UpdateTenant
     * @summary Rename a tenant, suspend it, or give it another parent
     * @request PATCH:/api/v1/tenants/{id}
     * @secure
     */
    updateTenant: (id: string, data: TenantPatch, params: RequestParams = {}) =>
      this.request<PatchedTenant, Problem>({
        path: `/api/v1/tenants/${id}`,
        method: "PATCH",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),

    /**
     * @description A change that takes a permission away revokes the access tokens of users with this role.
     *
     * @tags operators: tenants
     * @name UpdateTenantRole
     * @summary Update a role of a tenant
     * @request PATCH:/api/v1/tenants/{id}/roles/{roleId}
     * @secure
     */
    updateTenantRole: (
      id: string,
      roleId: string,
      data: RolePatch,
      params: RequestParams = {},
    ) =>
      this.request<Role, Problem>({
        path: `/api/v1/tenants/${id}/roles/${roleId}`,
        method: "PATCH",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),

    /**
     * @description A new password, other roles and the status INACTIVE revoke the user's access tokens.
     *
     * @tags operators: tenants
     * @name UpdateTenantUser
     * @summary Update a user of a tenant
     * @request PATCH:/api/v1/tenants/{id}/users/{userId}
     * @secure
     */
    updateTenantUser: (
      id: string,
      userId: string,
      data: UserPatch,
      params: RequestParams = {},
    ) =>
      this.request<User, Problem>({
        path: `/api/v1/tenants/${id}/users/${userId}`,
        method: "PATCH",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),
  };
  operatorsDatabases = {
    /**
     * @description With its state, its last error, and the candidate that is being validated.
     *
     * @tags operators: databases
     * @name FindDatabase
     * @summary Find the dedicated database of a tenant
     * @request GET:/api/v1/tenants/{id}/database
     * @secure
     */
    findDatabase: (id: string, params: RequestParams = {}) =>
      this.request<Database, Problem>({
        path: `/api/v1/tenants/${id}/database`,
        method: "GET",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description The connection string is encrypted before it is kept, and no answer shows it. A job validates the database.
     *
     * @tags operators: databases
     * @name RegisterDatabase
     * @summary Register a dedicated database of a tenant
     * @request PUT:/api/v1/tenants/{id}/database
     * @secure
     */
    registerDatabase: (
      id: string,
      data: DatabaseRegistration,
      params: RequestParams = {},
    ) =>
      this.request<Database, Problem>({
        path: `/api/v1/tenants/${id}/database`,
        method: "PUT",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),

    /**
     * @description A database that holds rows of the application stays registered. With `force` and `confirm` a database that cannot be reached is given up.
     *
     * @tags operators: databases
     * @name RemoveDatabase
     * @summary Remove the registration of a database
     * @request DELETE:/api/v1/tenants/{id}/database
     * @secure
     */
    removeDatabase: (
      id: string,
      query?: {
        /**
         * The tenant's code, which `force` needs.
         * @maxLength 63
         */
        confirm?: string;
        /**
         * Give up a database that cannot be reached, with the rows in it.
         * @default false
         */
        force?: boolean;
      },
      params: RequestParams = {},
    ) =>
      this.request<void, Problem>({
        path: `/api/v1/tenants/${id}/database`,
        method: "DELETE",
        query: query,
        secure: true,
        ...params,
      }),

    /**
     * @description A job validates the candidate, or the current database if there is no candidate. `adopt` accepts a database that another Freehold has used.
     *
     * @tags operators: databases
     * @name ValidateDatabase
     * @summary Validate the database again
     * @request POST:/api/v1/tenants/{id}/database/validate
     * @secure
     */
    validateDatabase: (
      id: string,
      data?: DatabaseValidation,
      params: RequestParams = {},
    ) =>
      this.request<Database, Problem>({
        path: `/api/v1/tenants/${id}/database/validate`,
        method: "POST",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),
  };
  operatorsJobs = {
    /**
     * @description A queued job is cancelled at once, a running job within seconds.
     *
     * @tags operators: jobs
     * @name CancelJob
     * @summary Cancel a job
     * @request POST:/api/v1/jobs/{id}/cancel
     * @secure
     */
    cancelJob: (id: string, params: RequestParams = {}) =>
      this.request<Job, Problem>({
        path: `/api/v1/jobs/${id}/cancel`,
        method: "POST",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description With its step, its progress and its result.
     *
     * @tags operators: jobs
     * @name FindJob
     * @summary Find a job
     * @request GET:/api/v1/jobs/{id}
     * @secure
     */
    findJob: (id: string, params: RequestParams = {}) =>
      this.request<Job, Problem>({
        path: `/api/v1/jobs/${id}`,
        method: "GET",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description Newest first, a page at a time.
     *
     * @tags operators: jobs
     * @name ListJobs
     * @summary List the jobs
     * @request GET:/api/v1/jobs
     * @secure
     */
    listJobs: (
      query?: {
        /**
         * The `nextCursor` of the page before.
         * @minLength 1
         * @maxLength 512
         */
        cursor?: string;
        /**
         * @minLength 1
         * @maxLength 100
         * @pattern ^[^\u0000]*$
         */
        kind?: string;
        /**
         * Rows in a page.
         * @min 1
         * @max 200
         * @default 50
         */
        limit?: number;
        status?: "queued" | "running" | "succeeded" | "failed" | "cancelled";
        /**
         * @format uuid
         * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
         */
        tenantId?: string;
      },
      params: RequestParams = {},
    ) =>
      this.request<JobList, Problem>({
        path: `/api/v1/jobs`,
        method: "GET",
        query: query,
        secure: true,
        format: "json",
        ...params,
      }),
  };
  operatorsMigrations = {
    /**
     * @description Migrations under way are aborted within seconds.
     *
     * @tags operators: migrations
     * @name CancelMigrationRun
     * @summary Cancel a run of migrations
     * @request POST:/api/v1/migrations/runs/{id}/cancel
     * @secure
     */
    cancelMigrationRun: (id: string, params: RequestParams = {}) =>
      this.request<MigrationRun, Problem>({
        path: `/api/v1/migrations/runs/${id}/cancel`,
        method: "POST",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description With the counts of each wave.
     *
     * @tags operators: migrations
     * @name FindMigrationRun
     * @summary Find a run of migrations
     * @request GET:/api/v1/migrations/runs/{id}
     * @secure
     */
    findMigrationRun: (id: string, params: RequestParams = {}) =>
      this.request<MigrationRun, Problem>({
        path: `/api/v1/migrations/runs/${id}`,
        method: "GET",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description In the order in which the run takes them. The shared database has no `tenantId`.
     *
     * @tags operators: migrations
     * @name ListMigrationRunDatabases
     * @summary List the databases of a run of migrations
     * @request GET:/api/v1/migrations/runs/{id}/databases
     * @secure
     */
    listMigrationRunDatabases: (
      id: string,
      query?: {
        /**
         * The `nextCursor` of the page before.
         * @minLength 1
         * @maxLength 512
         */
        cursor?: string;
        /**
         * Rows in a page.
         * @min 1
         * @max 200
         * @default 50
         */
        limit?: number;
      },
      params: RequestParams = {},
    ) =>
      this.request<MigrationRunDatabaseList, Problem>({
        path: `/api/v1/migrations/runs/${id}/databases`,
        method: "GET",
        query: query,
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description Newest first, a page at a time.
     *
     * @tags operators: migrations
     * @name ListMigrationRuns
     * @summary List the runs of migrations
     * @request GET:/api/v1/migrations/runs
     * @secure
     */
    listMigrationRuns: (
      query?: {
        /**
         * The `nextCursor` of the page before.
         * @minLength 1
         * @maxLength 512
         */
        cursor?: string;
        /**
         * Rows in a page.
         * @min 1
         * @max 200
         * @default 50
         */
        limit?: number;
      },
      params: RequestParams = {},
    ) =>
      this.request<MigrationRunList, Problem>({
        path: `/api/v1/migrations/runs`,
        method: "GET",
        query: query,
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description The shared database comes first. Its `tenantId` is null.
     *
     * @tags operators: migrations
     * @name ListSchemas
     * @summary List the schema of each database
     * @request GET:/api/v1/migrations/databases
     * @secure
     */
    listSchemas: (
      query?: {
        /**
         * The `nextCursor` of the page before.
         * @minLength 1
         * @maxLength 512
         */
        cursor?: string;
        /**
         * Rows in a page.
         * @min 1
         * @max 200
         * @default 50
         */
        limit?: number;
        state?: "current" | "behind" | "failed" | "unreachable" | "drifted";
      },
      params: RequestParams = {},
    ) =>
      this.request<SchemaList, Problem>({
        path: `/api/v1/migrations/databases`,
        method: "GET",
        query: query,
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description The run is `paused` when the work under way has ended.
     *
     * @tags operators: migrations
     * @name PauseMigrationRun
     * @summary Pause a run of migrations
     * @request POST:/api/v1/migrations/runs/{id}/pause
     * @secure
     */
    pauseMigrationRun: (id: string, params: RequestParams = {}) =>
      this.request<MigrationRun, Problem>({
        path: `/api/v1/migrations/runs/${id}/pause`,
        method: "POST",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description With the schema that this release needs, and the run that is running, paused or halted.
     *
     * @tags operators: migrations
     * @name ReadMigrations
     * @summary Count the databases by the state of their schema
     * @request GET:/api/v1/migrations
     * @secure
     */
    readMigrations: (params: RequestParams = {}) =>
      this.request<Migrations, Problem>({
        path: `/api/v1/migrations`,
        method: "GET",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description The run goes on with the databases that it has not taken.
     *
     * @tags operators: migrations
     * @name ResumeMigrationRun
     * @summary Resume a run of migrations
     * @request POST:/api/v1/migrations/runs/{id}/resume
     * @secure
     */
    resumeMigrationRun: (id: string, params: RequestParams = {}) =>
      this.request<MigrationRun, Problem>({
        path: `/api/v1/migrations/runs/${id}/resume`,
        method: "POST",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description Takes only those. If the run has others left, it is `paused` afterwards, or `halted` if one fails again.
     *
     * @tags operators: migrations
     * @name RetryMigrationRun
     * @summary Retry the failed databases of a run of migrations
     * @request POST:/api/v1/migrations/runs/{id}/retry
     * @secure
     */
    retryMigrationRun: (id: string, params: RequestParams = {}) =>
      this.request<MigrationRun, Problem>({
        path: `/api/v1/migrations/runs/${id}/retry`,
        method: "POST",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description The run works in the background, in waves. Only one run is unfinished at a time.
     *
     * @tags operators: migrations
     * @name StartMigrationRun
     * @summary Start a run that migrates every database
     * @request POST:/api/v1/migrations/runs
     * @secure
     */
    startMigrationRun: (
      data?: MigrationRunRequest,
      params: RequestParams = {},
    ) =>
      this.request<MigrationRun, Problem>({
        path: `/api/v1/migrations/runs`,
        method: "POST",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),
  };
  operatorsServers = {
    /**
     * @description The server is connected to before the answer. The connection string is encrypted before it is kept, and no answer shows it.
     *
     * @tags operators: servers
     * @name AddServer
     * @summary Add a database server
     * @request POST:/api/v1/servers
     * @secure
     */
    addServer: (data: NewServer, params: RequestParams = {}) =>
      this.request<Server, Problem>({
        path: `/api/v1/servers`,
        method: "POST",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),

    /**
     * @description A new connection string is checked before the answer, like the first one, and must lead to the same server. A server that is `draining` gets no new databases.
     *
     * @tags operators: servers
     * @name ChangeServer
     * @summary Change a database server
     * @request PATCH:/api/v1/servers/{id}
     * @secure
     */
    changeServer: (id: string, data: ServerPatch, params: RequestParams = {}) =>
      this.request<Server, Problem>({
        path: `/api/v1/servers/${id}`,
        method: "PATCH",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),

    /**
     * @description With the number of tenants whose databases are on it, and what the last health round found.
     *
     * @tags operators: servers
     * @name FindServer
     * @summary Find a database server
     * @request GET:/api/v1/servers/{id}
     * @secure
     */
    findServer: (id: string, params: RequestParams = {}) =>
      this.request<Server, Problem>({
        path: `/api/v1/servers/${id}`,
        method: "GET",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description A page at a time.
     *
     * @tags operators: servers
     * @name ListServers
     * @summary List the database servers
     * @request GET:/api/v1/servers
     * @secure
     */
    listServers: (
      query?: {
        /**
         * The `nextCursor` of the page before.
         * @minLength 1
         * @maxLength 512
         */
        cursor?: string;
        /**
         * Rows in a page.
         * @min 1
         * @max 200
         * @default 50
         */
        limit?: number;
      },
      params: RequestParams = {},
    ) =>
      this.request<ServerList, Problem>({
        path: `/api/v1/servers`,
        method: "GET",
        query: query,
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description A server stays while a tenant's database is on it. Freehold forgets the server, and changes nothing on it.
     *
     * @tags operators: servers
     * @name RemoveServer
     * @summary Remove a database server
     * @request DELETE:/api/v1/servers/{id}
     * @secure
     */
    removeServer: (id: string, params: RequestParams = {}) =>
      this.request<void, Problem>({
        path: `/api/v1/servers/${id}`,
        method: "DELETE",
        secure: true,
        ...params,
      }),
  };
  operatorsSigningKeys = {
    /**
     * @description No answer shows the secret of a key.
     *
     * @tags operators: signing keys
     * @name FindTenantSigningKey
     * @summary Find the signing key of a tenant
     * @request GET:/api/v1/tenants/{id}/signing-key
     * @secure
     */
    findTenantSigningKey: (id: string, params: RequestParams = {}) =>
      this.request<SigningKey, Problem>({
        path: `/api/v1/tenants/${id}/signing-key`,
        method: "GET",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description The service's key signs the tenant's access tokens again.
     *
     * @tags operators: signing keys
     * @name RemoveTenantSigningKey
     * @summary Remove the signing keys of a tenant
     * @request DELETE:/api/v1/tenants/{id}/signing-key
     * @secure
     */
    removeTenantSigningKey: (id: string, params: RequestParams = {}) =>
      this.request<void, Problem>({
        path: `/api/v1/tenants/${id}/signing-key`,
        method: "DELETE",
        secure: true,
        ...params,
      }),

    /**
     * @description Ends the keys that the tenant had: access tokens signed with them are not valid any more.
     *
     * @tags operators: signing keys
     * @name ReplaceTenantSigningKey
     * @summary Give a tenant a signing key of its own
     * @request PUT:/api/v1/tenants/{id}/signing-key
     * @secure
     */
    replaceTenantSigningKey: (
      id: string,
      data: NewSigningKey,
      params: RequestParams = {},
    ) =>
      this.request<SigningKey, Problem>({
        path: `/api/v1/tenants/${id}/signing-key`,
        method: "PUT",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),

    /**
     * @description The key before still verifies for as long as an access token is valid.
     *
     * @tags operators: signing keys
     * @name RotateTenantSigningKey
     * @summary Rotate a tenant's signing key
     * @request POST:/api/v1/tenants/{id}/signing-key/rotate
     * @secure
     */
    rotateTenantSigningKey: (
      id: string,
      data?: KeyRotation,
      params: RequestParams = {},
    ) =>
      this.request<SigningKey, Problem>({
        path: `/api/v1/tenants/${id}/signing-key/rotate`,
        method: "POST",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),
  };
  operators = {
    /**
     * @description Only this answer shows the token. An operator with the role `viewer` may only read.
     *
     * @tags operators
     * @name CreateOperator
     * @summary Create an operator
     * @request POST:/api/v1/operators
     * @secure
     */
    createOperator: (data: NewOperator, params: RequestParams = {}) =>
      this.request<CreatedOperator, Problem>({
        path: `/api/v1/operators`,
        method: "POST",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),

    /**
     * @description No answer but the one that creates an operator shows a token.
     *
     * @tags operators
     * @name ListOperators
     * @summary List the operators
     * @request GET:/api/v1/operators
     * @secure
     */
    listOperators: (
      query?: {
        /**
         * The `nextCursor` of the page before.
         * @minLength 1
         * @maxLength 512
         */
        cursor?: string;
        /**
         * Rows in a page.
         * @min 1
         * @max 200
         * @default 50
         */
        limit?: number;
      },
      params: RequestParams = {},
    ) =>
      this.request<OperatorList, Problem>({
        path: `/api/v1/operators`,
        method: "GET",
        query: query,
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description With the progress of the latest rotation.
     *
     * @tags operators
     * @name ReadEncryption
     * @summary Count the secrets by the master key that encrypts them
     * @request GET:/api/v1/encryption
     * @secure
     */
    readEncryption: (params: RequestParams = {}) =>
      this.request<Encryption, Problem>({
        path: `/api/v1/encryption`,
        method: "GET",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description Takes effect at once.
     *
     * @tags operators
     * @name RevokeOperator
     * @summary Revoke an operator
     * @request DELETE:/api/v1/operators/{id}
     * @secure
     */
    revokeOperator: (id: string, params: RequestParams = {}) =>
      this.request<void, Problem>({
        path: `/api/v1/operators/${id}`,
        method: "DELETE",
        secure: true,
        ...params,
      }),

    /**
     * @description The rotation works in the background. Only one rotation is under way at a time.
     *
     * @tags operators
     * @name RotateEncryption
     * @summary Encrypt every secret with the current master key
     * @request POST:/api/v1/encryption/rotate
     * @secure
     */
    rotateEncryption: (params: RequestParams = {}) =>
      this.request<Encryption, Problem>({
        path: `/api/v1/encryption/rotate`,
        method: "POST",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description The key before still verifies for as long as an access token is valid.
     *
     * @tags operators
     * @name RotateSigningKey
     * @summary Rotate the service's signing key
     * @request POST:/api/v1/signing-key/rotate
     * @secure
     */
    rotateSigningKey: (params: RequestParams = {}) =>
      this.request<SigningKey, Problem>({
        path: `/api/v1/signing-key/rotate`,
        method: "POST",
        secure: true,
        format: "json",
        ...params,
      }),
  };
  operatorsAccounts = {
    /**
     * @description With its first memberships.
     *
     * @tags operators: accounts
     * @name CreateAccount
     * @summary Create an account
     * @request POST:/api/v1/accounts
     * @secure
     */
    createAccount: (data: NewAccount, params: RequestParams = {}) =>
      this.request<Account, Problem>({
        path: `/api/v1/accounts`,
        method: "POST",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),

    /**
     * @description With its memberships.
     *
     * @tags operators: accounts
     * @name FindAccount
     * @summary Find an account
     * @request GET:/api/v1/accounts/{id}
     * @secure
     */
    findAccount: (id: string, params: RequestParams = {}) =>
      this.request<Account, Problem>({
        path: `/api/v1/accounts/${id}`,
        method: "GET",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description Sorted by id, a page at a time. `q` searches addresses and names.
     *
     * @tags operators: accounts
     * @name ListAccounts
     * @summary List the accounts
     * @request GET:/api/v1/accounts
     * @secure
     */
    listAccounts: (
      query?: {
        /**
         * The `nextCursor` of the page before.
         * @minLength 1
         * @maxLength 512
         */
        cursor?: string;
        /**
         * Rows in a page.
         * @min 1
         * @max 200
         * @default 50
         */
        limit?: number;
        /**
         * @minLength 1
         * @maxLength 200
         * @pattern ^[^\u0000]*$
         */
        q?: string;
      },
      params: RequestParams = {},
    ) =>
      this.request<AccountList, Problem>({
        path: `/api/v1/accounts`,
        method: "GET",
        query: query,
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description Ends its memberships and revokes its access tokens.
     *
     * @tags operators: accounts
     * @name RemoveAccount
     * @summary Remove an account
     * @request DELETE:/api/v1/accounts/{id}
     * @secure
     */
    removeAccount: (id: string, params: RequestParams = {}) =>
      this.request<void, Problem>({
        path: `/api/v1/accounts/${id}`,
        method: "DELETE",
        secure: true,
        ...params,
      }),

    /**
     * @description Revokes the account's access tokens.
     *
     * @tags operators: accounts
     * @name RemoveMembership
     * @summary End the membership of an account in a tenant
     * @request DELETE:/api/v1/accounts/{id}/memberships/{tenantId}
     * @secure
     */
    removeMembership: (
      id: string,
      tenantId: string,
      params: RequestParams = {},
    ) =>
      this.request<void, Problem>({
        path: `/api/v1/accounts/${id}/memberships/${tenantId}`,
        method: "DELETE",
        secure: true,
        ...params,
      }),

    /**
     * @description The account has exactly these roles in the tenant.
     *
     * @tags operators: accounts
     * @name SetMembership
     * @summary Make an account a member of a tenant
     * @request PUT:/api/v1/accounts/{id}/memberships/{tenantId}
     * @secure
     */
    setMembership: (
      id: string,
      tenantId: string,
      data: MembershipRoles,
      params: RequestParams = {},
    ) =>
      this.request<Membership, Problem>({
        path: `/api/v1/accounts/${id}/memberships/${tenantId}`,
        method: "PUT",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),

    /**
     * @description A new password, other roles and the status INACTIVE revoke the account's access tokens.
     *
     * @tags operators: accounts
     * @name UpdateAccount
     * @summary Update an account
     * @request PATCH:/api/v1/accounts/{id}
     * @secure
     */
    updateAccount: (
      id: string,
      data: AccountPatch,
      params: RequestParams = {},
    ) =>
      this.request<Account, Problem>({
        path: `/api/v1/accounts/${id}`,
        method: "PATCH",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),
  };
  audit = {
    /**
     * @description Operators see all entries, other callers those of their tenant. Newest first, a page at a time.
     *
     * @tags audit
     * @name ListAuditLog
     * @summary List the entries of the audit log
     * @request GET:/api/v1/audit-log
     * @secure
     */
    listAuditLog: (
      query?: {
        /**
         * @minLength 1
         * @maxLength 100
         * @pattern ^[^\u0000]*$
         * @example "user.create"
         */
        action?: string;
        /**
         * @minLength 1
         * @maxLength 200
         * @pattern ^[^\u0000]*$
         */
        actor?: string;
        /**
         * The `nextCursor` of the page before.
         * @minLength 1
         * @maxLength 512
         */
        cursor?: string;
        /** @format date-time */
        from?: string;
        /**
         * Rows in a page.
         * @min 1
         * @max 200
         * @default 50
         */
        limit?: number;
        /**
         * @format uuid
         * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
         */
        tenantId?: string;
        /** @format date-time */
        to?: string;
      },
      params: RequestParams = {},
    ) =>
      this.request<AuditLog, Problem>({
        path: `/api/v1/audit-log`,
        method: "GET",
        query: query,
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description If all entries since the last seal are unchanged, they are sealed.
     *
     * @tags audit
     * @name VerifyAuditLog
     * @summary Verify that no entry of the audit log was changed or removed
     * @request GET:/api/v1/audit-log/verify
     * @secure
     */
    verifyAuditLog: (params: RequestParams = {}) =>
      this.request<AuditVerdict, Problem>({
        path: `/api/v1/audit-log/verify`,
        method: "GET",
        secure: true,
        format: "json",
        ...params,
      }),
  };
  properties = {
    /**
     * @description With an `Idempotency-Key` the request may be repeated: it creates one row.
     *
     * @tags properties
     * @name CreateEquipment
     * @summary Create one of equipment
     * @request POST:/api/v1/equipment
     * @secure
     */
    createEquipment: (data: NewEquipment, params: RequestParams = {}) =>
      this.request<Equipment, Problem>({
        path: `/api/v1/equipment`,
        method: "POST",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),

    /**
     * @description With an `Idempotency-Key` the request may be repeated: it creates one row.
     *
     * @tags properties
     * @name CreateEstate
     * @summary Create one of estates
     * @request POST:/api/v1/estates
     * @secure
     */
    createEstate: (data: NewEstate, params: RequestParams = {}) =>
      this.request<Estate, Problem>({
        path: `/api/v1/estates`,
        method: "POST",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),

    /**
     * @description With an `Idempotency-Key` the request may be repeated: it creates one row.
     *
     * @tags properties
     * @name CreatePlace
     * @summary Create one of places
     * @request POST:/api/v1/places
     * @secure
     */
    createPlace: (data: NewPlace, params: RequestParams = {}) =>
      this.request<Place, Problem>({
        path: `/api/v1/places`,
        method: "POST",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),

    /**
     * @description With an `Idempotency-Key` the request may be repeated: it creates one row.
     *
     * @tags properties
     * @name CreateRoom
     * @summary Create one of rooms
     * @request POST:/api/v1/rooms
     * @secure
     */
    createRoom: (data: NewRoom, params: RequestParams = {}) =>
      this.request<Room, Problem>({
        path: `/api/v1/rooms`,
        method: "POST",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),

    /**
     * @description With `If-Match` only the named version is deleted.
     *
     * @tags properties
     * @name DeleteEquipment
     * @summary Delete one of equipment
     * @request DELETE:/api/v1/equipment/{id}
     * @secure
     */
    deleteEquipment: (id: string, params: RequestParams = {}) =>
      this.request<void, Problem>({
        path: `/api/v1/equipment/${id}`,
        method: "DELETE",
        secure: true,
        ...params,
      }),

    /**
     * @description With `If-Match` only the named version is deleted.
     *
     * @tags properties
     * @name DeleteEstate
     * @summary Delete one of estates
     * @request DELETE:/api/v1/estates/{id}
     * @secure
     */
    deleteEstate: (id: string, params: RequestParams = {}) =>
      this.request<void, Problem>({
        path: `/api/v1/estates/${id}`,
        method: "DELETE",
        secure: true,
        ...params,
      }),

    /**
     * @description With `If-Match` only the named version is deleted.
     *
     * @tags properties
     * @name DeletePlace
     * @summary Delete one of places
     * @request DELETE:/api/v1/places/{id}
     * @secure
     */
    deletePlace: (id: string, params: RequestParams = {}) =>
      this.request<void, Problem>({
        path: `/api/v1/places/${id}`,
        method: "DELETE",
        secure: true,
        ...params,
      }),

    /**
     * @description With `If-Match` only the named version is deleted.
     *
     * @tags properties
     * @name DeleteRoom
     * @summary Delete one of rooms
     * @request DELETE:/api/v1/rooms/{id}
     * @secure
     */
    deleteRoom: (id: string, params: RequestParams = {}) =>
      this.request<void, Problem>({
        path: `/api/v1/rooms/${id}`,
        method: "DELETE",
        secure: true,
        ...params,
      }),

    /**
     * @description With its version in `ETag`.
     *
     * @tags properties
     * @name FindEquipment
     * @summary Find one of equipment
     * @request GET:/api/v1/equipment/{id}
     * @secure
     */
    findEquipment: (id: string, params: RequestParams = {}) =>
      this.request<Equipment, void | Problem>({
        path: `/api/v1/equipment/${id}`,
        method: "GET",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description With its version in `ETag`.
     *
     * @tags properties
     * @name FindEstate
     * @summary Find one of estates
     * @request GET:/api/v1/estates/{id}
     * @secure
     */
    findEstate: (id: string, params: RequestParams = {}) =>
      this.request<Estate, void | Problem>({
        path: `/api/v1/estates/${id}`,
        method: "GET",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description With its version in `ETag`.
     *
     * @tags properties
     * @name FindPlace
     * @summary Find one of places
     * @request GET:/api/v1/places/{id}
     * @secure
     */
    findPlace: (id: string, params: RequestParams = {}) =>
      this.request<Place, void | Problem>({
        path: `/api/v1/places/${id}`,
        method: "GET",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description With its version in `ETag`.
     *
     * @tags properties
     * @name FindRoom
     * @summary Find one of rooms
     * @request GET:/api/v1/rooms/{id}
     * @secure
     */
    findRoom: (id: string, params: RequestParams = {}) =>
      this.request<Room, void | Problem>({
        path: `/api/v1/rooms/${id}`,
        method: "GET",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description In the order of `sort`, a page at a time.
     *
     * @tags properties
     * @name ListEquipment
     * @summary List equipment
     * @request GET:/api/v1/equipment
     * @secure
     */
    listEquipment: (
      query?: {
        condition?: "new" | "good" | "fair" | "poor";
        /**
         * @minLength 1
         * @maxLength 4096
         */
        cursor?: string;
        /**
         * @min 1
         * @max 200
         * @default 50
         */
        limit?: number;
        /**
         * @minLength 1
         * @maxLength 200
         * @pattern ^[^\u0000]*$
         * @example "Boiler"
         */
        name?: string;
        /**
         * @format uuid
         * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
         */
        roomId?: string;
        /** @default "createdAt" */
        sort?: "createdAt" | "-createdAt" | "name" | "-name";
      },
      params: RequestParams = {},
    ) =>
      this.request<EquipmentList, Problem>({
        path: `/api/v1/equipment`,
        method: "GET",
        query: query,
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description In the order of `sort`, a page at a time.
     *
     * @tags properties
     * @name ListEstates
     * @summary List estates
     * @request GET:/api/v1/estates
     * @secure
     */
    listEstates: (
      query?: {
        /**
         * @minLength 1
         * @maxLength 4096
         */
        cursor?: string;
        /**
         * @min 1
         * @max 200
         * @default 50
         */
        limit?: number;
        /**
         * @minLength 1
         * @maxLength 200
         * @pattern ^[^\u0000]*$
         * @example "Flat 12"
         */
        name?: string;
        /**
         * @format uuid
         * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
         */
        placeId?: string;
        /**
         * @minLength 1
         * @maxLength 100
         * @pattern ^[^\u0000]*$
         * @example "GC-12"
         */
        reference?: string;
        /** @default "createdAt" */
        sort?: "createdAt" | "-createdAt" | "name" | "-name";
      },
      params: RequestParams = {},
    ) =>
      this.request<EstateList, Problem>({
        path: `/api/v1/estates`,
        method: "GET",
        query: query,
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description In the order of `sort`, a page at a time.
     *
     * @tags properties
     * @name ListPlaces
     * @summary List places
     * @request GET:/api/v1/places
     * @secure
     */
    listPlaces: (
      query?: {
        /**
         * @minLength 1
         * @maxLength 4096
         */
        cursor?: string;
        kind?: "building" | "land" | "parking" | "other";
        /**
         * @min 1
         * @max 200
         * @default 50
         */
        limit?: number;
        /**
         * @minLength 1
         * @maxLength 200
         * @pattern ^[^\u0000]*$
         * @example "Garden Court"
         */
        name?: string;
        /** @default "createdAt" */
        sort?: "createdAt" | "-createdAt" | "name" | "-name";
      },
      params: RequestParams = {},
    ) =>
      this.request<PlaceList, Problem>({
        path: `/api/v1/places`,
        method: "GET",
        query: query,
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description In the order of `sort`, a page at a time.
     *
     * @tags properties
     * @name ListRooms
     * @summary List rooms
     * @request GET:/api/v1/rooms
     * @secure
     */
    listRooms: (
      query?: {
        /**
         * @minLength 1
         * @maxLength 4096
         */
        cursor?: string;
        /**
         * @format uuid
         * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
         */
        estateId?: string;
        /**
         * @min 1
         * @max 200
         * @default 50
         */
        limit?: number;
        /**
         * @minLength 1
         * @maxLength 200
         * @pattern ^[^\u0000]*$
         * @example "Kitchen"
         */
        name?: string;
        /** @default "createdAt" */
        sort?: "createdAt" | "-createdAt" | "name" | "-name";
      },
      params: RequestParams = {},
    ) =>
      this.request<RoomList, Problem>({
        path: `/api/v1/rooms`,
        method: "GET",
        query: query,
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description By a merge patch (RFC 7396): fields that are left out keep their value.
     *
     * @tags properties
     * @name UpdateEquipment
     * @summary Update one of equipment
     * @request PATCH:/api/v1/equipment/{id}
     * @secure
     */
    updateEquipment: (
      id: string,
      data: EquipmentPatch,
      params: RequestParams = {},
    ) =>
      this.request<Equipment, Problem>({
        path: `/api/v1/equipment/${id}`,
        method: "PATCH",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),

    /**
     * @description By a merge patch (RFC 7396): fields that are left out keep their value.
     *
     * @tags properties
     * @name UpdateEstate
     * @summary Update one of estates
     * @request PATCH:/api/v1/estates/{id}
     * @secure
     */
    updateEstate: (id: string, data: EstatePatch, params: RequestParams = {}) =>
      this.request<Estate, Problem>({
        path: `/api/v1/estates/${id}`,
        method: "PATCH",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),

    /**
     * @description By a merge patch (RFC 7396): fields that are left out keep their value.
     *
     * @tags properties
     * @name UpdatePlace
     * @summary Update one of places
     * @request PATCH:/api/v1/places/{id}
     * @secure
     */
    updatePlace: (id: string, data: PlacePatch, params: RequestParams = {}) =>
      this.request<Place, Problem>({
        path: `/api/v1/places/${id}`,
        method: "PATCH",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),

    /**
     * @description By a merge patch (RFC 7396): fields that are left out keep their value.
     *
     * @tags properties
     * @name UpdateRoom
     * @summary Update one of rooms
     * @request PATCH:/api/v1/rooms/{id}
     * @secure
     */
    updateRoom: (id: string, data: RoomPatch, params: RequestParams = {}) =>
      this.request<Room, Problem>({
        path: `/api/v1/rooms/${id}`,
        method: "PATCH",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),
  };
  leases = {
    /**
     * @description With an `Idempotency-Key` the request may be repeated: it creates one row.
     *
     * @tags leases
     * @name CreateCharge
     * @summary Create one of charges
     * @request POST:/api/v1/charges
     * @secure
     */
    createCharge: (data: NewCharge, params: RequestParams = {}) =>
      this.request<Charge, Problem>({
        path: `/api/v1/charges`,
        method: "POST",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),

    /**
     * @description With an `Idempotency-Key` the request may be repeated: it creates one row.
     *
     * @tags leases
     * @name CreateDocument
     * @summary Create one of documents
     * @request POST:/api/v1/documents
     * @secure
     */
    createDocument: (data: NewDocument, params: RequestParams = {}) =>
      this.request<Document, Problem>({
        path: `/api/v1/documents`,
        method: "POST",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),

    /**
     * @description With an `Idempotency-Key` the request may be repeated: it creates one row.
     *
     * @tags leases
     * @name CreateLease
     * @summary Create one of leases
     * @request POST:/api/v1/leases
     * @secure
     */
    createLease: (data: NewLease, params: RequestParams = {}) =>
      this.request<Lease, Problem>({
        path: `/api/v1/leases`,
        method: "POST",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),

    /**
     * @description With `If-Match` only the named version is deleted.
     *
     * @tags leases
     * @name DeleteCharge
     * @summary Delete one of charges
     * @request DELETE:/api/v1/charges/{id}
     * @secure
     */
    deleteCharge: (id: string, params: RequestParams = {}) =>
      this.request<void, Problem>({
        path: `/api/v1/charges/${id}`,
        method: "DELETE",
        secure: true,
        ...params,
      }),

    /**
     * @description With `If-Match` only the named version is deleted.
     *
     * @tags leases
     * @name DeleteDocument
     * @summary Delete one of documents
     * @request DELETE:/api/v1/documents/{id}
     * @secure
     */
    deleteDocument: (id: string, params: RequestParams = {}) =>
      this.request<void, Problem>({
        path: `/api/v1/documents/${id}`,
        method: "DELETE",
        secure: true,
        ...params,
      }),

    /**
     * @description With `If-Match` only the named version is deleted.
     *
     * @tags leases
     * @name DeleteLease
     * @summary Delete one of leases
     * @request DELETE:/api/v1/leases/{id}
     * @secure
     */
    deleteLease: (id: string, params: RequestParams = {}) =>
      this.request<void, Problem>({
        path: `/api/v1/leases/${id}`,
        method: "DELETE",
        secure: true,
        ...params,
      }),

    /**
     * @description With its version in `ETag`.
     *
     * @tags leases
     * @name FindCharge
     * @summary Find one of charges
     * @request GET:/api/v1/charges/{id}
     * @secure
     */
    findCharge: (id: string, params: RequestParams = {}) =>
      this.request<Charge, void | Problem>({
        path: `/api/v1/charges/${id}`,
        method: "GET",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description With its version in `ETag`.
     *
     * @tags leases
     * @name FindDocument
     * @summary Find one of documents
     * @request GET:/api/v1/documents/{id}
     * @secure
     */
    findDocument: (id: string, params: RequestParams = {}) =>
      this.request<Document, void | Problem>({
        path: `/api/v1/documents/${id}`,
        method: "GET",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description With its version in `ETag`.
     *
     * @tags leases
     * @name FindLease
     * @summary Find one of leases
     * @request GET:/api/v1/leases/{id}
     * @secure
     */
    findLease: (id: string, params: RequestParams = {}) =>
      this.request<Lease, void | Problem>({
        path: `/api/v1/leases/${id}`,
        method: "GET",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description In the order of `sort`, a page at a time.
     *
     * @tags leases
     * @name ListCharges
     * @summary List charges
     * @request GET:/api/v1/charges
     * @secure
     */
    listCharges: (
      query?: {
        /**
         * @minLength 1
         * @maxLength 4096
         */
        cursor?: string;
        /** @format date */
        dueOn?: string;
        /**
         * @format uuid
         * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
         */
        leaseId?: string;
        /**
         * @min 1
         * @max 200
         * @default 50
         */
        limit?: number;
        /** @default "createdAt" */
        sort?: "createdAt" | "-createdAt" | "dueOn" | "-dueOn";
        status?: "due" | "paid" | "cancelled";
      },
      params: RequestParams = {},
    ) =>
      this.request<ChargeList, Problem>({
        path: `/api/v1/charges`,
        method: "GET",
        query: query,
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description In the order of `sort`, a page at a time.
     *
     * @tags leases
     * @name ListDocuments
     * @summary List documents
     * @request GET:/api/v1/documents
     * @secure
     */
    listDocuments: (
      query?: {
        /**
         * @minLength 1
         * @maxLength 4096
         */
        cursor?: string;
        /**
         * @format uuid
         * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
         */
        leaseId?: string;
        /**
         * @min 1
         * @max 200
         * @default 50
         */
        limit?: number;
        /** @default "createdAt" */
        sort?: "createdAt" | "-createdAt" | "title" | "-title";
        /**
         * @minLength 1
         * @maxLength 200
         * @pattern ^[^\u0000]*$
         * @example "Lease of flat 12"
         */
        title?: string;
      },
      params: RequestParams = {},
    ) =>
      this.request<DocumentList, Problem>({
        path: `/api/v1/documents`,
        method: "GET",
        query: query,
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description In the order of `sort`, a page at a time.
     *
     * @tags leases
     * @name ListLeases
     * @summary List leases
     * @request GET:/api/v1/leases
     * @secure
     */
    listLeases: (
      query?: {
        /**
         * @minLength 1
         * @maxLength 4096
         */
        cursor?: string;
        /**
         * @format uuid
         * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
         */
        estateId?: string;
        /**
         * @min 1
         * @max 200
         * @default 50
         */
        limit?: number;
        /** @default "createdAt" */
        sort?: "createdAt" | "-createdAt" | "startsOn" | "-startsOn";
        /** @format date */
        startsOn?: string;
        status?: "draft" | "active" | "ended";
      },
      params: RequestParams = {},
    ) =>
      this.request<LeaseList, Problem>({
        path: `/api/v1/leases`,
        method: "GET",
        query: query,
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description Needs the permission `leases:read`.
     *
     * @tags leases
     * @name PrintDocument
     * @summary The lease as it was when the document was made, as a PDF
     * @request GET:/api/v1/documents/{id}/pdf
     * @secure
     */
    printDocument: (id: string, params: RequestParams = {}) =>
      this.request<Blob, void | Problem>({
        path: `/api/v1/documents/${id}/pdf`,
        method: "GET",
        secure: true,
        ...params,
      }),

    /**
     * @description By a merge patch (RFC 7396): fields that are left out keep their value.
     *
     * @tags leases
     * @name UpdateCharge
     * @summary Update one of charges
     * @request PATCH:/api/v1/charges/{id}
     * @secure
     */
    updateCharge: (id: string, data: ChargePatch, params: RequestParams = {}) =>
      this.request<Charge, Problem>({
        path: `/api/v1/charges/${id}`,
        method: "PATCH",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),

    /**
     * @description By a merge patch (RFC 7396): fields that are left out keep their value.
     *
     * @tags leases
     * @name UpdateDocument
     * @summary Update one of documents
     * @request PATCH:/api/v1/documents/{id}
     * @secure
     */
    updateDocument: (
      id: string,
      data: DocumentPatch,
      params: RequestParams = {},
    ) =>
      this.request<Document, Problem>({
        path: `/api/v1/documents/${id}`,
        method: "PATCH",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),

    /**
     * @description By a merge patch (RFC 7396): fields that are left out keep their value.
     *
     * @tags leases
     * @name UpdateLease
     * @summary Update one of leases
     * @request PATCH:/api/v1/leases/{id}
     * @secure
     */
    updateLease: (id: string, data: LeasePatch, params: RequestParams = {}) =>
      this.request<Lease, Problem>({
        path: `/api/v1/leases/${id}`,
        method: "PATCH",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),
  };
  lessees = {
    /**
     * @description With an `Idempotency-Key` the request may be repeated: it creates one row.
     *
     * @tags lessees
     * @name CreateContact
     * @summary Create one of contacts
     * @request POST:/api/v1/contacts
     * @secure
     */
    createContact: (data: NewContact, params: RequestParams = {}) =>
      this.request<Contact, Problem>({
        path: `/api/v1/contacts`,
        method: "POST",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),

    /**
     * @description With an `Idempotency-Key` the request may be repeated: it creates one row.
     *
     * @tags lessees
     * @name CreateLessee
     * @summary Create one of lessees
     * @request POST:/api/v1/lessees
     * @secure
     */
    createLessee: (data: NewLessee, params: RequestParams = {}) =>
      this.request<Lessee, Problem>({
        path: `/api/v1/lessees`,
        method: "POST",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),

    /**
     * @description With an `Idempotency-Key` the request may be repeated: it creates one row.
     *
     * @tags lessees
     * @name CreateOwner
     * @summary Create one of owners
     * @request POST:/api/v1/owners
     * @secure
     */
    createOwner: (data: NewOwner, params: RequestParams = {}) =>
      this.request<Owner, Problem>({
        path: `/api/v1/owners`,
        method: "POST",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),

    /**
     * @description With `If-Match` only the named version is deleted.
     *
     * @tags lessees
     * @name DeleteContact
     * @summary Delete one of contacts
     * @request DELETE:/api/v1/contacts/{id}
     * @secure
     */
    deleteContact: (id: string, params: RequestParams = {}) =>
      this.request<void, Problem>({
        path: `/api/v1/contacts/${id}`,
        method: "DELETE",
        secure: true,
        ...params,
      }),

    /**
     * @description With `If-Match` only the named version is deleted.
     *
     * @tags lessees
     * @name DeleteLessee
     * @summary Delete one of lessees
     * @request DELETE:/api/v1/lessees/{id}
     * @secure
     */
    deleteLessee: (id: string, params: RequestParams = {}) =>
      this.request<void, Problem>({
        path: `/api/v1/lessees/${id}`,
        method: "DELETE",
        secure: true,
        ...params,
      }),

    /**
     * @description With `If-Match` only the named version is deleted.
     *
     * @tags lessees
     * @name DeleteOwner
     * @summary Delete one of owners
     * @request DELETE:/api/v1/owners/{id}
     * @secure
     */
    deleteOwner: (id: string, params: RequestParams = {}) =>
      this.request<void, Problem>({
        path: `/api/v1/owners/${id}`,
        method: "DELETE",
        secure: true,
        ...params,
      }),

    /**
     * @description With its version in `ETag`.
     *
     * @tags lessees
     * @name FindContact
     * @summary Find one of contacts
     * @request GET:/api/v1/contacts/{id}
     * @secure
     */
    findContact: (id: string, params: RequestParams = {}) =>
      this.request<Contact, void | Problem>({
        path: `/api/v1/contacts/${id}`,
        method: "GET",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description With its version in `ETag`.
     *
     * @tags lessees
     * @name FindLessee
     * @summary Find one of lessees
     * @request GET:/api/v1/lessees/{id}
     * @secure
     */
    findLessee: (id: string, params: RequestParams = {}) =>
      this.request<Lessee, void | Problem>({
        path: `/api/v1/lessees/${id}`,
        method: "GET",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description With its version in `ETag`.
     *
     * @tags lessees
     * @name FindOwner
     * @summary Find one of owners
     * @request GET:/api/v1/owners/{id}
     * @secure
     */
    findOwner: (id: string, params: RequestParams = {}) =>
      this.request<Owner, void | Problem>({
        path: `/api/v1/owners/${id}`,
        method: "GET",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description In the order of `sort`, a page at a time.
     *
     * @tags lessees
     * @name ListContacts
     * @summary List contacts
     * @request GET:/api/v1/contacts
     * @secure
     */
    listContacts: (
      query?: {
        /**
         * @minLength 1
         * @maxLength 4096
         */
        cursor?: string;
        /**
         * @maxLength 254
         * @pattern ^[^\s@\u0000]+@[^\s@\u0000]+$
         * @example "ada@acme-corp.example"
         */
        email?: string;
        /**
         * @format uuid
         * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
         */
        lesseeId?: string;
        /**
         * @min 1
         * @max 200
         * @default 50
         */
        limit?: number;
        /**
         * @minLength 1
         * @maxLength 200
         * @pattern ^[^\u0000]*$
         * @example "Ada Lovelace"
         */
        name?: string;
        /**
         * @format uuid
         * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
         */
        ownerId?: string;
        /** @default "createdAt" */
        sort?: "createdAt" | "-createdAt" | "name" | "-name";
      },
      params: RequestParams = {},
    ) =>
      this.request<ContactList, Problem>({
        path: `/api/v1/contacts`,
        method: "GET",
        query: query,
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description In the order of `sort`, a page at a time.
     *
     * @tags lessees
     * @name ListLessees
     * @summary List lessees
     * @request GET:/api/v1/lessees
     * @secure
     */
    listLessees: (
      query?: {
        /**
         * @minLength 1
         * @maxLength 4096
         */
        cursor?: string;
        /**
         * @maxLength 254
         * @pattern ^[^\s@\u0000]+@[^\s@\u0000]+$
         * @example "ada@acme-corp.example"
         */
        email?: string;
        kind?: "person" | "company";
        /**
         * @min 1
         * @max 200
         * @default 50
         */
        limit?: number;
        /**
         * @minLength 1
         * @maxLength 200
         * @pattern ^[^\u0000]*$
         * @example "Ada Lovelace"
         */
        name?: string;
        /** @default "createdAt" */
        sort?: "createdAt" | "-createdAt" | "name" | "-name";
      },
      params: RequestParams = {},
    ) =>
      this.request<LesseeList, Problem>({
        path: `/api/v1/lessees`,
        method: "GET",
        query: query,
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description In the order of `sort`, a page at a time.
     *
     * @tags lessees
     * @name ListOwners
     * @summary List owners
     * @request GET:/api/v1/owners
     * @secure
     */
    listOwners: (
      query?: {
        /**
         * @minLength 1
         * @maxLength 4096
         */
        cursor?: string;
        /**
         * @maxLength 254
         * @pattern ^[^\s@\u0000]+@[^\s@\u0000]+$
         * @example "ada@acme-corp.example"
         */
        email?: string;
        kind?: "person" | "company";
        /**
         * @min 1
         * @max 200
         * @default 50
         */
        limit?: number;
        /**
         * @minLength 1
         * @maxLength 200
         * @pattern ^[^\u0000]*$
         * @example "Ada Lovelace"
         */
        name?: string;
        /** @default "createdAt" */
        sort?: "createdAt" | "-createdAt" | "name" | "-name";
      },
      params: RequestParams = {},
    ) =>
      this.request<OwnerList, Problem>({
        path: `/api/v1/owners`,
        method: "GET",
        query: query,
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description By a merge patch (RFC 7396): fields that are left out keep their value.
     *
     * @tags lessees
     * @name UpdateContact
     * @summary Update one of contacts
     * @request PATCH:/api/v1/contacts/{id}
     * @secure
     */
    updateContact: (
      id: string,
      data: ContactPatch,
      params: RequestParams = {},
    ) =>
      this.request<Contact, Problem>({
        path: `/api/v1/contacts/${id}`,
        method: "PATCH",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),

    /**
     * @description By a merge patch (RFC 7396): fields that are left out keep their value.
     *
     * @tags lessees
     * @name UpdateLessee
     * @summary Update one of lessees
     * @request PATCH:/api/v1/lessees/{id}
     * @secure
     */
    updateLessee: (id: string, data: LesseePatch, params: RequestParams = {}) =>
      this.request<Lessee, Problem>({
        path: `/api/v1/lessees/${id}`,
        method: "PATCH",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),

    /**
     * @description By a merge patch (RFC 7396): fields that are left out keep their value.
     *
     * @tags lessees
     * @name UpdateOwner
     * @summary Update one of owners
     * @request PATCH:/api/v1/owners/{id}
     * @secure
     */
    updateOwner: (id: string, data: OwnerPatch, params: RequestParams = {}) =>
      this.request<Owner, Problem>({
        path: `/api/v1/owners/${id}`,
        method: "PATCH",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),
  };
  signatures = {
    /**
     * @description With an `Idempotency-Key` the request may be repeated: it creates one row.
     *
     * @tags signatures
     * @name CreateSignature
     * @summary Create one of signatures
     * @request POST:/api/v1/signatures
     * @secure
     */
    createSignature: (data: NewSignature, params: RequestParams = {}) =>
      this.request<Signature, Problem>({
        path: `/api/v1/signatures`,
        method: "POST",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),

    /**
     * @description Needs the permission `signatures:write`.
     *
     * @tags signatures
     * @name DeclineSignature
     * @summary Decline to sign
     * @request POST:/api/v1/signatures/{id}/decline
     * @secure
     */
    declineSignature: (id: string, params: RequestParams = {}) =>
      this.request<Signature, Problem>({
        path: `/api/v1/signatures/${id}/decline`,
        method: "POST",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description With `If-Match` only the named version is deleted.
     *
     * @tags signatures
     * @name DeleteSignature
     * @summary Delete one of signatures
     * @request DELETE:/api/v1/signatures/{id}
     * @secure
     */
    deleteSignature: (id: string, params: RequestParams = {}) =>
      this.request<void, Problem>({
        path: `/api/v1/signatures/${id}`,
        method: "DELETE",
        secure: true,
        ...params,
      }),

    /**
     * @description With its version in `ETag`.
     *
     * @tags signatures
     * @name FindProof
     * @summary Find one of proofs
     * @request GET:/api/v1/proofs/{id}
     * @secure
     */
    findProof: (id: string, params: RequestParams = {}) =>
      this.request<Proof, void | Problem>({
        path: `/api/v1/proofs/${id}`,
        method: "GET",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description With its version in `ETag`.
     *
     * @tags signatures
     * @name FindSignature
     * @summary Find one of signatures
     * @request GET:/api/v1/signatures/{id}
     * @secure
     */
    findSignature: (id: string, params: RequestParams = {}) =>
      this.request<Signature, void | Problem>({
        path: `/api/v1/signatures/${id}`,
        method: "GET",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description In the order of `sort`, a page at a time.
     *
     * @tags signatures
     * @name ListProofs
     * @summary List proofs
     * @request GET:/api/v1/proofs
     * @secure
     */
    listProofs: (
      query?: {
        /**
         * @minLength 1
         * @maxLength 4096
         */
        cursor?: string;
        /**
         * @format uuid
         * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
         */
        documentId?: string;
        /**
         * @min 1
         * @max 200
         * @default 50
         */
        limit?: number;
        /**
         * @format uuid
         * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
         */
        signatureId?: string;
        /** @default "number" */
        sort?: "number" | "-number" | "createdAt" | "-createdAt";
      },
      params: RequestParams = {},
    ) =>
      this.request<ProofList, Problem>({
        path: `/api/v1/proofs`,
        method: "GET",
        query: query,
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description In the order of `sort`, a page at a time.
     *
     * @tags signatures
     * @name ListSignatures
     * @summary List signatures
     * @request GET:/api/v1/signatures
     * @secure
     */
    listSignatures: (
      query?: {
        /**
         * @minLength 1
         * @maxLength 4096
         */
        cursor?: string;
        /**
         * @format uuid
         * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
         */
        documentId?: string;
        /**
         * @min 1
         * @max 200
         * @default 50
         */
        limit?: number;
        /**
         * @maxLength 254
         * @pattern ^[^\s@\u0000]+@[^\s@\u0000]+$
         * @example "ada@acme-corp.example"
         */
        signerEmail?: string;
        /** @default "createdAt" */
        sort?: "createdAt" | "-createdAt";
        status?: "pending" | "signed" | "declined";
      },
      params: RequestParams = {},
    ) =>
      this.request<SignatureList, Problem>({
        path: `/api/v1/signatures`,
        method: "GET",
        query: query,
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description Needs the permission `signatures:write`.
     *
     * @tags signatures
     * @name SignSignature
     * @summary Sign, and write the proof of it
     * @request POST:/api/v1/signatures/{id}/sign
     * @secure
     */
    signSignature: (id: string, params: RequestParams = {}) =>
      this.request<Signature, Problem>({
        path: `/api/v1/signatures/${id}/sign`,
        method: "POST",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description By a merge patch (RFC 7396): fields that are left out keep their value.
     *
     * @tags signatures
     * @name UpdateSignature
     * @summary Update one of signatures
     * @request PATCH:/api/v1/signatures/{id}
     * @secure
     */
    updateSignature: (
      id: string,
      data: SignaturePatch,
      params: RequestParams = {},
    ) =>
      this.request<Signature, Problem>({
        path: `/api/v1/signatures/${id}`,
        method: "PATCH",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),
  };
  credits = {
    /**
     * @description With an `Idempotency-Key` the request may be repeated: it creates one row.
     *
     * @tags credits
     * @name CreateCredit
     * @summary Create one of credits
     * @request POST:/api/v1/credits
     * @secure
     */
    createCredit: (data: NewCredit, params: RequestParams = {}) =>
      this.request<Credit, Problem>({
        path: `/api/v1/credits`,
        method: "POST",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),

    /**
     * @description With its version in `ETag`.
     *
     * @tags credits
     * @name FindCredit
     * @summary Find one of credits
     * @request GET:/api/v1/credits/{id}
     * @secure
     */
    findCredit: (id: string, params: RequestParams = {}) =>
      this.request<Credit, void | Problem>({
        path: `/api/v1/credits/${id}`,
        method: "GET",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description With its version in `ETag`.
     *
     * @tags credits
     * @name FindPayment
     * @summary Find one of payments
     * @request GET:/api/v1/payments/{id}
     * @secure
     */
    findPayment: (id: string, params: RequestParams = {}) =>
      this.request<Payment, void | Problem>({
        path: `/api/v1/payments/${id}`,
        method: "GET",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description In the order of `sort`, a page at a time.
     *
     * @tags credits
     * @name ListCredits
     * @summary List credits
     * @request GET:/api/v1/credits
     * @secure
     */
    listCredits: (
      query?: {
        /**
         * @minLength 1
         * @maxLength 4096
         */
        cursor?: string;
        /**
         * @min 1
         * @max 200
         * @default 50
         */
        limit?: number;
        /**
         * @minLength 1
         * @maxLength 200
         * @pattern ^[^\u0000]*$
         * @example "invoice-2026-001"
         */
        paymentReference?: string;
        /** @default "createdAt" */
        sort?: "createdAt" | "-createdAt";
      },
      params: RequestParams = {},
    ) =>
      this.request<CreditList, Problem>({
        path: `/api/v1/credits`,
        method: "GET",
        query: query,
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description In the order of `sort`, a page at a time.
     *
     * @tags credits
     * @name ListPayments
     * @summary List payments
     * @request GET:/api/v1/payments
     * @secure
     */
    listPayments: (
      query?: {
        /**
         * @format uuid
         * @pattern ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$
         */
        creditId?: string;
        /**
         * @minLength 1
         * @maxLength 4096
         */
        cursor?: string;
        /**
         * @min 1
         * @max 200
         * @default 50
         */
        limit?: number;
        /**
         * @minLength 1
         * @maxLength 200
         * @pattern ^[^\u0000]*$
         * @example "invoice-2026-001"
         */
        paymentReference?: string;
        /** @default "createdAt" */
        sort?: "createdAt" | "-createdAt";
      },
      params: RequestParams = {},
    ) =>
      this.request<PaymentList, Problem>({
        path: `/api/v1/payments`,
        method: "GET",
        query: query,
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description Needs the permission `credits:read`.
     *
     * @tags credits
     * @name ReadBalance
     * @summary The sum of all credits bought and spent
     * @request GET:/api/v1/credits/balance
     * @secure
     */
    readBalance: (params: RequestParams = {}) =>
      this.request<Balance, Problem>({
        path: `/api/v1/credits/balance`,
        method: "GET",
        secure: true,
        format: "json",
        ...params,
      }),
  };
  media = {
    /**
     * @description Needs the permission `media:write`.
     *
     * @tags media
     * @name CreateMedia
     * @summary Keep a file of up to 25 MiB
     * @request POST:/api/v1/media
     * @secure
     */
    createMedia: (
      data: {
        /** @format binary */
        file: File;
      },
      params: RequestParams = {},
    ) =>
      this.request<Media, Problem>({
        path: `/api/v1/media`,
        method: "POST",
        body: data,
        secure: true,
        type: "multipart/form-data",
        format: "json",
        ...params,
      }),

    /**
     * @description With `If-Match` only the named version is deleted.
     *
     * @tags media
     * @name DeleteMedia
     * @summary Delete one of media
     * @request DELETE:/api/v1/media/{id}
     * @secure
     */
    deleteMedia: (id: string, params: RequestParams = {}) =>
      this.request<void, Problem>({
        path: `/api/v1/media/${id}`,
        method: "DELETE",
        secure: true,
        ...params,
      }),

    /**
     * @description With its version in `ETag`.
     *
     * @tags media
     * @name FindMedia
     * @summary Find one of media
     * @request GET:/api/v1/media/{id}
     * @secure
     */
    findMedia: (id: string, params: RequestParams = {}) =>
      this.request<Media, void | Problem>({
        path: `/api/v1/media/${id}`,
        method: "GET",
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description In the order of `sort`, a page at a time.
     *
     * @tags media
     * @name ListMedia
     * @summary List media
     * @request GET:/api/v1/media
     * @secure
     */
    listMedia: (
      query?: {
        /**
         * @minLength 1
         * @maxLength 4096
         */
        cursor?: string;
        /**
         * @minLength 1
         * @maxLength 255
         * @pattern ^[^\u0000]*$
         * @example "lease.pdf"
         */
        filename?: string;
        /**
         * @min 1
         * @max 200
         * @default 50
         */
        limit?: number;
        /** @default "createdAt" */
        sort?: "createdAt" | "-createdAt" | "filename" | "-filename";
      },
      params: RequestParams = {},
    ) =>
      this.request<MediaList, Problem>({
        path: `/api/v1/media`,
        method: "GET",
        query: query,
        secure: true,
        format: "json",
        ...params,
      }),

    /**
     * @description Needs the permission `media:read`.
     *
     * @tags media
     * @name ReadContent
     * @summary The content of a file, whole or a range of it
     * @request GET:/api/v1/media/{id}/content
     * @secure
     */
    readContent: (id: string, params: RequestParams = {}) =>
      this.request<Blob, void | Problem>({
        path: `/api/v1/media/${id}/content`,
        method: "GET",
        secure: true,
        ...params,
      }),

    /**
     * @description By a merge patch (RFC 7396): fields that are left out keep their value.
     *
     * @tags media
     * @name UpdateMedia
     * @summary Update one of media
     * @request PATCH:/api/v1/media/{id}
     * @secure
     */
    updateMedia: (id: string, data: MediaPatch, params: RequestParams = {}) =>
      this.request<Media, Problem>({
        path: `/api/v1/media/${id}`,
        method: "PATCH",
        body: data,
        secure: true,
        type: "application/json",
        format: "json",
        ...params,
      }),
  };
}
