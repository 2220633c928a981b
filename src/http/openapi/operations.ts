/** What the routes answer and what they are for, where their own files say how they are done. One line of meaning each. */
import { Type } from 'typebox'
import { PROBLEM_RESPONSES } from '../schemas.ts'
import * as Answers from './answer-schemas.ts'
import { type DescribedOperation, described, type Operations } from './described.ts'
import { OPERATOR_OPERATIONS } from './operator-operations.ts'
import type { RouteDocument } from './route-document.ts'
import { TENANT_OPERATIONS } from './tenant-operations.ts'

const KEYS: RouteDocument = { headers: ['cache-control'] }

const text = (contentType: string, description: string) => ({
  description,
  content: { [contentType]: { schema: { type: 'string' } } },
})

const PROBES: Operations = {
  'GET /livez': described(['probes', 'isAlive', 'Whether the process runs'], 200, Answers.Status),
  'GET /readyz': {
    ...described(['probes', 'isReady', 'Whether the gateway serves'], 200, Answers.Readiness),
    answers: { 200: Answers.Readiness, 503: Answers.Readiness },
  },
  'GET /health': {
    ...described(['probes', 'readHealth', 'How the parts are'], 200, Answers.Health),
    answers: { 200: Answers.Health, 503: Answers.Health },
  },
  'GET /metrics': {
    ...described(['probes', 'readMetrics', 'Measurements, for Prometheus'], 200, Type.String()),
    answers: { 200: text('text/plain', 'The text format of Prometheus.'), ...PROBLEM_RESPONSES },
  },
  'GET /.well-known/jwks.json': described(
    ['auth', 'readKeys', 'The public keys that access tokens are signed with'],
    200,
    Answers.Jwks,
    KEYS,
  ),
  'GET /.well-known/tenants/:code/jwks.json': described(
    ['auth', 'readTenantKeys', 'The public keys of a tenant that signs its own tokens; none of the others'],
    200,
    Answers.Jwks,
    { ...KEYS, codes: ['TENANT_NOT_FOUND'] },
  ),
  'GET /openapi.json': described(['docs', 'readDocument', 'This document'], 200, Answers.AnyDocument),
}

/** By method and path, as the routes are declared. */
export const OPERATIONS: Readonly<Record<string, DescribedOperation | undefined>> = {
  ...PROBES,
  ...TENANT_OPERATIONS,
  ...OPERATOR_OPERATIONS,
}
