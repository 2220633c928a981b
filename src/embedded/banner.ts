import { DEMO_PASSWORD } from './demo.ts'

/** The text that the demo prints at its start: its address, and commands to paste. */
export function demoBanner(
  url: string,
  { operatorToken, collection }: { operatorToken: string; collection: string | null },
): string {
  return `
Freehold is running at ${url}

  Operator token   ${operatorToken}
  Demo tenants     acme-corp, globex (shared)   initech (own database)   umbrella, parent of umbrella-north (own database)
  Administrators   admin@<code>.example, password ${DEMO_PASSWORD}

Sign in to a tenant, and ${collection === null ? 'see who you are' : `list its ${collection}`}:

  TOKEN=$(curl -s ${url}/api/v1/auth/login -H 'content-type: application/json' \\
    -d '{"tenantCode":"initech","email":"admin@initech.example","password":"${DEMO_PASSWORD}"}' \\
    | sed 's/.*"accessToken":"\\([^"]*\\)".*/\\1/')
  curl -s ${url}/api/v1/${collection ?? 'auth/me'} -H "authorization: Bearer $TOKEN"

List the tenants and their databases, as an operator:

  curl -s ${url}/api/v1/tenants -H 'authorization: Bearer ${operatorToken}'

Ctrl-C stops the gateway and its PostgreSQL. The data stays in .freehold/.
`
}
