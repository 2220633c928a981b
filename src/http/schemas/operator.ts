import { Type } from 'typebox'
import { choice, example, moment, text, uuid } from '../../lib/fields.ts'
import { CLOSED, integer, named, orNull, pageOf, part, string } from './parts.ts'

const operatorFields = {
  id: uuid(),
  name: string('On-call'),
  role: choice('admin', 'viewer'),
  prefix: string('fho_5f2b'),
  createdAt: moment(),
}

export const Operator = named('Operator', operatorFields)
export const OperatorList = pageOf('OperatorList', Operator)

/** Has the token itself, which is shown only once. */
export const CreatedOperator = named('CreatedOperator', { ...operatorFields, token: string('fho_…') })

export const NewOperatorBody = Type.Object(
  { name: example('On-call', text(200)), role: choice('admin', 'viewer') },
  { ...CLOSED, title: 'NewOperator' },
)

export const Encryption = named('Encryption', {
  currentKeyId: string('5f2b9c1d'),
  counts: Type.Object({}, { additionalProperties: Type.Integer() }),
  rotation: orNull(
    part({
      id: uuid(),
      keyId: string('5f2b9c1d'),
      status: choice('running', 'done', 'failed', 'superseded'),
      total: integer(),
      remaining: integer(),
      startedAt: moment(),
      finishedAt: orNull(moment()),
    }),
  ),
})
