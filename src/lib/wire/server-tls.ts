import { type ConnectionOptions, checkServerIdentity } from 'node:tls'
import type { SslMode } from '../postgres/connection-string.ts'

interface ProvenServer {
  readonly host: string
  readonly sslMode: SslMode
  readonly caCertificate: string | null
}

/** How the server must prove its identity. `require` with a certificate verifies it, as libpq does. */
export function verification({ sslMode, caCertificate }: ProvenServer): 'none' | 'authority' | 'full' {
  if (sslMode === 'verify-full') return 'full'
  return sslMode === 'verify-ca' || (sslMode === 'require' && caCertificate !== null) ? 'authority' : 'none'
}

export function tlsOptions(server: ProvenServer): ConnectionOptions | false {
  if (server.sslMode === 'disable') return false
  const wanted = verification(server)
  if (wanted === 'none') return { rejectUnauthorized: false }
  const ca = server.caCertificate === null ? {} : { ca: server.caCertificate }
  return {
    ...ca,
    rejectUnauthorized: true,
    checkServerIdentity: (_name, certificate) =>
      wanted === 'authority' ? undefined : checkServerIdentity(server.host, certificate),
  }
}
