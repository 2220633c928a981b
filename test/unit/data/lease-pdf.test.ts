import { expect, test } from 'vitest'
import { renderLease } from '../../../src/data/leases/lease-pdf.ts'

const LESSEE = { kind: 'person', name: 'Ana', email: null, phone: null } as const

function documentOf({ title = 'Lease', place = 'Mill', cents = 100, lessees = 1 }) {
  return {
    ...{ id: 'd', title, createdAt: '2026-01-01T00:00:00Z' },
    terms: {
      lease: {
        ...{ id: 'l', startsOn: '2026-01-01', endsOn: null, currency: 'EUR' },
        ...{ rentCents: cents, depositCents: null },
      },
      estate: { name: 'Flat', reference: null, surfaceM2: null, floor: null },
      place: { name: place, address: null },
      lessees: Array.from({ length: lessees }, () => LESSEE),
    },
  }
}

const print = (parts: Parameters<typeof documentOf>[0]) => renderLease(documentOf(parts))

test('prints no more of a text or a list than tables of ours hold: a line is broken in the square of its length', async () => {
  const word = 'a'.repeat(2_000)
  expect(await print({ title: word + word })).toEqual(await print({ title: word }))
  expect(await print({ place: word + word })).toEqual(await print({ place: word }))
  expect(await print({ lessees: 21 })).toEqual(await print({ lessees: 20 }))
  const digits = '1'.repeat(20)
  const endless = '1'.repeat(40) as unknown as number
  expect(await print({ cents: endless })).toEqual(await print({ cents: digits as unknown as number }))
  expect(await print({ lessees: 20 })).not.toEqual(await print({ lessees: 19 }))
})
