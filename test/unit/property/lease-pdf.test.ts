import { describe, expect, test } from 'vitest'
import { amountOf } from '../../../src/applications/property/leases/amounts.ts'
import { UndrawableError } from '../../../src/applications/property/leases/fonts.ts'
import { renderLease } from '../../../src/applications/property/leases/lease-pdf.ts'
import { textsOf } from '../../support/pdf-text.ts'

interface Parts {
  title?: string
  place?: string
  cents?: number
  lessees?: number
  name?: string
  currency?: string
}

function documentOf({ title = 'Lease', place = 'Mill', cents = 100, lessees = 1, ...more }: Parts) {
  const { name = 'Ana', currency = 'EUR' } = more
  return {
    ...{ id: 'd', title, createdAt: '2026-01-01T00:00:00Z' },
    terms: {
      lease: {
        ...{ id: 'l', startsOn: '2026-01-01', endsOn: null, currency },
        ...{ rentCents: cents, depositCents: null },
      },
      estate: { name: 'Flat', reference: null, surfaceM2: null, floor: null },
      place: { name: place, address: null },
      lessees: Array.from({ length: lessees }, () => ({
        ...{ kind: 'person' as const, name, email: null, phone: null },
      })),
    },
  }
}

const print = (parts: Parts) => renderLease(documentOf(parts))

test('prints no more of a text or a list than our tables can store', async () => {
  const word = 'a'.repeat(600)
  expect(await print({ title: word + word })).toEqual(await print({ title: word }))
  expect(await print({ place: word + word })).toEqual(await print({ place: word }))
  expect(await print({ lessees: 21 })).toEqual(await print({ lessees: 20 }))
  const digits = '1'.repeat(20)
  const endless = '1'.repeat(40) as unknown as number
  expect(await print({ cents: endless })).toEqual(await print({ cents: digits as unknown as number }))
  expect(await print({ lessees: 20 })).not.toEqual(await print({ lessees: 19 }))
})

test('a very long word takes time in proportion to its length, and is printed whole', async () => {
  const long = 'Wörd'.repeat(150)
  const printed = await print({ lessees: 20, name: long })
  /** The shortest CPU time of this thread, in µs. Other processes and compilation do not count. */
  const took = async (name: string) => {
    const times: number[] = []
    for (let round = 0; round < 3; round++) {
      const before = process.threadCpuUsage()
      await print({ lessees: 20, name })
      const { user, system } = process.threadCpuUsage(before)
      times.push(user + system)
    }
    return Math.min(...times)
  }
  const inPieces = await took('Wörd Wörd '.repeat(60))
  // pdfkit alone takes ten times as long to find where each of these words breaks.
  expect(await took(long)).toBeLessThan(4 * inPieces)
  // The pages of a file are in no fixed order.
  const pieces = textsOf(printed).filter((text) => /^[Wörd]{2,}$/.test(text))
  const letters = (text: string) => Array.from(text).toSorted().join('')
  expect(letters(pieces.join(''))).toBe(letters(long.repeat(20)))
})

describe('prints as it was written', () => {
  test.each([
    ['Latin', 'Łódź, Ñuñoa, Þórshöfn, Şişli, Kőbánya, Brăila, Œuvre, „Straße“ – 12 m² €'],
    ['Vietnamese', 'Nguyễn Thị Ánh, Phường Bến Nghé, Đường Đồng Khởi, Ự Ặ ỗ ₫'],
    ['Greek', 'Οδός Ερμού, Ωραία Ελλάδα, ΐ ΰ ἀρχῇ ᾧ'],
    ['Cyrillic', 'Київ, Ґрунт, Їжак; Санкт-Петербург; Ђорђевић, Љубљана, Ќерамиди, Ў Ә Қ'],
  ])('%s', async (_script, text) => {
    const texts = textsOf(await print({ title: text, place: text, name: text }))
    const all = texts.join('')
    // Title, place and lessee, each once. There is no space at a line break.
    expect(all.replaceAll(' ', '').split(text.replaceAll(' ', ''))).toHaveLength(4)
    expect(all).not.toMatch(/[?\ufffd]/)
  })

  test('a decomposed letter is printed as one letter', async () => {
    expect(textsOf(await print({ place: 'Cafe\u0301' })).join('\n')).toContain('Café')
  })

  test('a control character is printed as a space', async () => {
    expect(textsOf(await print({ place: 'a\nb\u202ec\u200dd' })).join('\n')).toContain('a b c d')
  })

  test('the same document has the same bytes, also after other documents', async () => {
    const first = await print({ place: 'Mühle' })
    await print({ place: 'Ωραία', lessees: 3 })
    expect((await print({ place: 'Mühle' })).equals(first)).toBe(true)
  })
})

describe('refuses a character that it cannot draw', () => {
  test.each([
    ['漢', '“漢” (U+6F22)'],
    ['ש', '“ש” (U+05E9)'],
    ['س', '“س” (U+0633)'],
    ['ไ', '“ไ” (U+0E44)'],
    ['क', '“क” (U+0915)'],
    ['🏠', '“🏠” (U+1F3E0)'],
    ['\ue000', 'U+E000'],
    ['\u{10ffff}', 'U+10FFFF'],
  ])('%s', async (character, said) => {
    for (const parts of [{ title: `a${character}` }, { place: `a${character}b` }, { name: character }]) {
      const refused = await print(parts).catch((error: unknown) => error)
      expect(refused).toBeInstanceOf(UndrawableError)
      expect((refused as UndrawableError).character).toBe(said)
    }
  })
})

describe('an amount has the decimals of its currency', () => {
  test.each([
    [123_456, 'EUR', 'EUR 1,234.56'],
    [5, 'EUR', 'EUR 0.05'],
    [0, 'USD', 'USD 0.00'],
    [120_000, 'JPY', 'JPY 120,000'],
    [7, 'JPY', 'JPY 7'],
    [123_456_789, 'KRW', 'KRW 123,456,789'],
    [123_456, 'KWD', 'KWD 123.456'],
    [5, 'BHD', 'BHD 0.005'],
    [1_234_567, 'TND', 'TND 1,234.567'],
    [123_456, 'CLF', 'CLF 12.3456'],
    // From ISO 4217, because CLDR has none.
    [123_456, 'AFN', 'AFN 1,234.56'],
    [123_456, 'XXX', 'XXX 1,234.56'],
  ])('%i of %s is %s', async (cents, currency, shown) => {
    expect(amountOf(cents, currency)).toBe(shown)
    expect(textsOf(await print({ cents, currency }))).toContain(shown)
  })
})
