/** Why a connection string may be refused. Fixed texts: a part of the input in a message would carry passwords into answers and logs. */
const REASONS = {
  TOO_LONG: 'must be at most 2048 bytes',
  CHARACTER_INVALID: 'must not contain white space, control characters or broken Unicode',
  QUOTED: 'must be given without quotation marks around it',
  NOT_ALONE: 'must be the connection string alone, with no command or variable name before postgresql://',
  JDBC: 'must be a postgresql:// URL with user and password in it; the jdbc: form is not supported',
  SCHEME_INVALID: 'must begin with postgresql:// or postgres://, without the name of a driver',
  FRAGMENT: 'must not contain #; write it as %23',
  ENCODING_INVALID: 'has a percent encoding that is malformed or not UTF-8',
  CONTROL_ENCODED: 'must not contain encoded control characters',
  RESERVED_CHARACTER:
    'has a reserved character; write @ as %40, / as %2F, ? as %3F, = as %3D, [ as %5B, ] as %5D and \\ as %5C',
  CREDENTIALS_INVALID:
    'must have the form user:password@host with exactly one @; in a user or password write @ as %40, / as %2F and ? as %3F',
  USER_MISSING: 'must name a user',
  PASSWORD_MISSING: 'must contain a password',
  PASSWORD_PLACEHOLDER: 'has a placeholder or a mask where the password should be',
  HOST_MISSING: 'must name a host; sockets are not supported',
  HOST_INVALID: 'must name its host plainly, without percent encodings, zones or a final dot',
  HOST_NUMERIC: 'must write the address of its host as dotted decimal IPv4 or as IPv6 in brackets',
  HOSTS_SEVERAL: 'must name exactly one host',
  PORT_INVALID: 'must have a port between 1 and 65535',
  DATABASE_MISSING: 'must name a database',
  NAME_TOO_LONG: 'must name a user and a database of at most 63 bytes; PostgreSQL cuts longer names short',
  PATH_INVALID: 'must have nothing but the database name in its path; write / in the name as %2F',
  PARAMETER_UNKNOWN:
    'may have no parameters but sslmode, application_name, channel_binding, sslnegotiation, connect_timeout, ' +
    'target_session_attrs and options, each as name=value',
  PARAMETER_REPEATED: 'must give each parameter at most once',
  CERTIFICATE_FILE:
    'must not name a file in sslrootcert: give the PEM text of the certificates in caCertificate, beside connectionString',
  CLIENT_CERTIFICATE: 'must not name a client certificate: they are not supported',
  SSLMODE_INVALID: 'must have an sslmode of disable, require, verify-ca or verify-full',
  SSLMODE_FALLS_BACK:
    'must not have an sslmode of prefer or allow: they may fall back to clear text; use require, verify-ca or verify-full',
  TLS_NEEDED:
    'must have an sslmode of require, verify-ca or verify-full where channel_binding=require or sslnegotiation=direct is given',
  CHANNEL_BINDING_INVALID: 'must have a channel_binding of disable, prefer or require',
  SSLNEGOTIATION_INVALID: 'must have an sslnegotiation of postgres or direct',
  CONNECT_TIMEOUT_INVALID: 'must have a connect_timeout between 1 and 60 seconds',
  TARGET_SESSION_ATTRS_INVALID: 'must have a target_session_attrs of read-write or none at all',
  OPTIONS_INVALID: 'must have options of the form endpoint%3D<endpoint id> or none at all',
  APPLICATION_NAME_INVALID: 'must have an application_name of 1 to 63 printable ASCII characters',
} as const

export type ConnectionStringReason = keyof typeof REASONS

/** A part of the string, or a parameter's name. A name comes from the caller and appears only if it has the form of a name. */
export type ConnectionStringPlace = string

/** Says why a connection string was refused. Its message quotes only the name of a parameter. */
export class ConnectionStringError extends Error {
  readonly reason: ConnectionStringReason

  constructor(reason: ConnectionStringReason, place?: ConnectionStringPlace) {
    super(place === undefined ? REASONS[reason] : `${REASONS[reason]} (${place})`)
    this.name = 'ConnectionStringError'
    this.reason = reason
  }
}

export function refuse(reason: ConnectionStringReason, place?: ConnectionStringPlace): never {
  throw new ConnectionStringError(reason, place)
}
