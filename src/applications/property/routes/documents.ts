import { Type } from 'typebox'
import { matchesNone, type Scope } from '../../../index.ts'
import { documents } from '../leases/documents.ts'
import { printDocument } from '../leases/print.ts'
import { contentDisposition } from './content-disposition.ts'

const PDF = 'application/pdf'

/** The document `/documents/{id}` as a PDF. Its ETag is the SHA-256 that a proof contains. */
export function documentRoutes(scope: Scope): void {
  const schema = {
    tags: ['leases'],
    operationId: 'printDocument',
    summary: 'The lease as it was when the document was made, as a PDF',
    params: documents.schemas.params,
    response: {
      200: { description: 'The PDF.', content: { [PDF]: { schema: { type: 'string', format: 'binary' } } } },
      304: Type.Null(),
    },
  }
  const document = { headers: ['etag'], asks: ['if-none-match'], codes: ['CONFLICT'] } as const
  const options = { access: 'leases:read', schema, document }
  scope.tenant.get('/documents/:id/pdf', options, async ({ tenant, params, headers }, reply) => {
    const { id } = params as { id: string }
    const { title, bytes, sha256 } = await printDocument(tenant, id)
    reply.header('etag', `"${sha256}"`)
    if (!matchesNone(headers['if-none-match'], sha256)) return reply.code(304).send()
    reply.header('content-disposition', contentDisposition('inline', `${title}.pdf`))
    return reply.type(PDF).send(bytes)
  })
}
