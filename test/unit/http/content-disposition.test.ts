import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { contentDisposition } from '../../../src/applications/property/routes/content-disposition.ts'

describe('Content-Disposition', () => {
  it.each([
    ['a b.pdf', `filename="a b.pdf"; filename*=UTF-8''a%20b.pdf`],
    ['Ω.pdf', `filename="_.pdf"; filename*=UTF-8''%CE%A9.pdf`],
    ['"\\\r\n%', `filename="_____"; filename*=UTF-8''%22_%0D%0A%25`],
    ['../../x', `filename=".._.._x"; filename*=UTF-8''.._.._x`],
    ["it's (1)*", `filename="it's (1)*"; filename*=UTF-8''it%27s%20%281%29%2A`],
  ])('names %j', (name, expected) => {
    expect(contentDisposition('attachment', name)).toBe(`attachment; ${expected}`)
  })

  it('is one valid header for any name', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (name) => {
        expect(contentDisposition('inline', name)).toMatch(
          /^inline; filename="[ !#-[\]-~]*"; filename\*=UTF-8''[\w.!~%-]*$/,
        )
      }),
    )
    expect(contentDisposition('inline', '\ud800')).toContain('%EF%BF%BD')
  })
})
