import type { FastifyInstance } from 'fastify'
import { matchesNone } from '../../../collections/etag.ts'
import { idOf } from '../../../http/bodies.ts'
import { NoBody, PROBLEM_RESPONSES } from '../../../http/schemas.ts'
import { documents } from '../leases/documents.ts'
import { printDocument } from '../leases/print.ts'
import { contentDisposition } from './content-disposition.ts'

const PDF = 'application/pdf'
const config = {
  access: { kind: 'tenant', permission: 'leases:read' },
  document: { headers: ['etag'], asks: ['if-none-match'], codes: ['CONFLICT'] },
} as const

/** The lease of `/documents/{id}` in print. Its tag is the SHA-256 that a proof holds. */
export function documentRoutes(api: FastifyInstance): void {
  const schema = {
    tags: ['leases'],
    operationId: 'printDocument',
    summary: 'The lease as it was when the document was made, as a PDF',
    params: documents.schemas.params,
    response: {
      200: { description: 'The PDF.', content: { [PDF]: { schema: { type: 'string', format: 'binary' } } } },
      304: NoBody,
      ...PROBLEM_RESPONSES,
    },
  }
  api.get('/documents/:id/pdf', { config, schema }, async ({ tenant, params, headers }, reply) => {
    const { title, bytes, sha256 } = await printDocument(tenant.session, idOf(params))
    reply.header('etag', `"${sha256}"`)
    if (!matchesNone(headers['if-none-match'], sha256)) return reply.code(304).send()
    reply.header('content-disposition', contentDisposition('inline', `${title}.pdf`))
    return reply.type(PDF).send(bytes)
  })
}
