import { expect, test } from 'vitest'
import { compileSerializer, compileValidator } from '../../../src/http/transport/validation.ts'

const schema = () => ({ type: 'object', properties: { n: { type: 'integer' } }, additionalProperties: false })
const route = { method: 'GET', url: '/' }
const compile = (httpPart: string, of: object = schema()) =>
  compileValidator({ ...route, httpPart, schema: of })

test('equal schemas are compiled once, for all servers of a process', () => {
  expect(compile('body')).toBe(compile('body'))
  expect(compile('querystring')).toBe(compile('params'))
  const serializer = () => compileSerializer({ ...route, httpStatus: '200', schema: schema() })
  expect(serializer()).toBe(serializer())
})

test('a body and a query with equal schemas are validated differently', () => {
  expect(compile('body')).not.toBe(compile('querystring'))
  expect(compile('body')({ n: '1' })).toBe(false)
  expect(compile('querystring')({ n: '1' })).toBe(true)
})

test('different schemas are compiled separately', () => {
  expect(compile('body', { type: 'object' })).not.toBe(compile('body'))
})
