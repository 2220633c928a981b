/** How the tables of operations say what a route is for. */
import type { TSchema } from 'typebox'
import { PROBLEM_RESPONSES } from '../schemas.ts'
import type { RouteDocument } from './route-document.ts'

/** The part of a route that the document needs and the route itself does not. */
export interface DescribedOperation {
  readonly summary: string
  readonly tags: readonly string[]
  readonly operationId: string
  readonly answers: Readonly<Record<string, TSchema | object>>
  readonly document?: RouteDocument
}

/** By method and path, as the routes are declared. */
export type Operations = Readonly<Record<string, DescribedOperation>>

type About = readonly [tag: string, operationId: string, summary: string]

export const API = '/api/v1'

/** An operation with one good answer. */
export function described(
  [tag, operationId, summary]: About,
  status: number,
  schema: TSchema,
  document?: RouteDocument,
): DescribedOperation {
  const answers = { [status]: schema, ...PROBLEM_RESPONSES }
  return { tags: [tag], operationId, summary, answers, ...(document && { document }) }
}

/** What can be wrong with the database that a tenant's people are in. */
export function homeCodes() {
  return [
    'TENANT_DATABASE_PENDING',
    'TENANT_DATABASE_UNAVAILABLE',
    'TENANT_SCHEMA_OUT_OF_DATE',
    'NO_CONNECTION_AVAILABLE',
  ] as const
}

export const MADE: RouteDocument = { headers: ['location'] }
/** For roles that are not there, and for names that somebody has. */
export const NEW_USER: RouteDocument = { ...MADE, ...changed('REFERENCE_NOT_FOUND') }
/** What takes something away tells how far that has come. */
export const REVOKING: RouteDocument = { headers: ['freehold-effective'] }
export const CHANGED_USER: RouteDocument = { ...REVOKING, ...changed('REFERENCE_NOT_FOUND') }
/** The last administrator, and what somebody else changed meanwhile, remain. */
export const REMOVED_USER: RouteDocument = { ...REVOKING, ...changed() }

function changed(...more: readonly 'REFERENCE_NOT_FOUND'[]): RouteDocument {
  return { codes: [...more, 'CONFLICT', ...homeCodes()] }
}
