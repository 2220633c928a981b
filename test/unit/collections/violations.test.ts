import { DrizzleQueryError } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { estates } from '../../../src/applications/property/properties/estates.ts'
import { fail, PublicError } from '../../../src/errors.ts'
import { makeCursors } from '../../support/cursors.ts'
import { recorder, serverError } from './recorder.ts'

const ID = '0190aaaa-0000-7000-8000-000000000001'

async function thrownBy(
  call: (session: ReturnType<typeof recorder>['session']) => Promise<unknown>,
  error: Error,
) {
  return call(recorder(ID, error).session).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
}
const onCreate = (error: Error) =>
  thrownBy((session) => estates.create(session, { placeId: ID, name: 'n' }), error)
const onUpdate = (error: Error) => thrownBy((session) => estates.update(session, ID, { placeId: ID }), error)
const onRemove = (error: Error) => thrownBy((session) => estates.remove(session, ID), error)
const withPointer = (code: string, pointer: string) =>
  expect.objectContaining({ code, extra: { errors: [expect.objectContaining({ pointer })] } })

describe('a violation that the server reports', () => {
  it('is REFERENCE_NOT_FOUND if the written row refers to a missing row', async () => {
    const error = serverError('23503', 'estates_place_fkey')
    expect(await onCreate(error)).toEqual(withPointer('REFERENCE_NOT_FOUND', '/placeId'))
    expect(await onUpdate(error)).toEqual(withPointer('REFERENCE_NOT_FOUND', '/placeId'))
  })

  it.each(['23503', '23001'])('is CONFLICT if other rows refer to the deleted row (%s)', async (code) => {
    expect(await onRemove(serverError(code, 'rooms_estate_fkey'))).toMatchObject({ code: 'CONFLICT' })
  })

  it('is CONFLICT with the field if a value is taken', async () => {
    const error = serverError('23505', 'estates_reference_key')
    expect(await onCreate(error)).toEqual(withPointer('CONFLICT', '/reference'))
    expect(await onUpdate(error)).toEqual(withPointer('CONFLICT', '/reference'))
  })

  it.each(['22003', '22P02', '22008', '22021', '22P05'])('is VALIDATION_FAILED for %s', async (code) => {
    expect(await onCreate(serverError(code))).toMatchObject({ code: 'VALIDATION_FAILED' })
  })

  it('is VALIDATION_FAILED for a check, and for a column that may not be null', async () => {
    const named = [
      serverError('23514', 'some_check'),
      Object.assign(serverError('23502'), { column: 'name' }),
    ]
    for (const error of named) expect(await onCreate(error)).toMatchObject({ code: 'VALIDATION_FAILED' })
  })

  it.each(['23000', '23502', '23503', '23505', '23514', '23P01'])(
    'is CONFLICT if a trigger raised %s, which names no constraint',
    async (code) => {
      expect(await onCreate(serverError(code))).toMatchObject({ code: 'CONFLICT' })
      expect(await onRemove(serverError(code))).toMatchObject({ code: 'CONFLICT' })
    },
  )

  it('is VALIDATION_FAILED for a filter as well', async () => {
    const list = (session: ReturnType<typeof recorder>['session']) =>
      estates.list(session, { name: 'n' }, makeCursors())
    expect(await thrownBy(list, serverError('22021'))).toMatchObject({ code: 'VALIDATION_FAILED' })
  })

  it('is found inside a wrapping error, and reveals nothing of the server', async () => {
    const wrapped = new DrizzleQueryError('insert', ['secret'], serverError('23505', 'estates_reference_key'))
    const thrown = await onCreate(wrapped)
    expect(thrown).toBeInstanceOf(PublicError)
    expect(JSON.stringify([thrown, String(thrown)])).not.toMatch(/secret|estates_|insert/)
    expect((thrown as PublicError).cause).toBeUndefined()
  })

  it("is passed on unchanged if it is not the caller's fault", async () => {
    for (const error of [
      serverError('57014'),
      serverError('42P01'),
      new Error('x'),
      fail('NO_CONNECTION_AVAILABLE'),
    ]) {
      expect(await onCreate(error)).toBe(error)
    }
  })
})
