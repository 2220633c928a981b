import { describe, expect, test } from 'vitest'
import { renderLease } from '../../../src/applications/property/leases/lease-pdf.ts'
import { Printer } from '../../../src/applications/property/leases/printer.ts'

function documentOf(title: string) {
  return {
    ...{ id: 'd', title, createdAt: '2026-01-01T00:00:00Z' },
    terms: {
      lease: {
        ...{ id: 'l', startsOn: '2026-01-01', endsOn: null, currency: 'EUR' },
        ...{ rentCents: 100, depositCents: null },
      },
      estate: { name: 'Flat', reference: null, surfaceM2: null, floor: null },
      place: { name: 'Mill', address: null },
      lessees: [{ kind: 'person' as const, name: 'Ana', email: null, phone: null }],
    },
  }
}

/** Not a document: drawing it throws. */
const BROKEN = { ...documentOf('x'), createdAt: 'no date' }

describe('a printer', () => {
  test('uses hardly any time of the main thread, from the first document on', async () => {
    const printer = new Printer()
    const before = process.threadCpuUsage()
    await printer.print(documentOf('Οδός'))
    const { user, system } = process.threadCpuUsage(before)
    // Loading the library and the fonts alone takes about 400 ms of CPU.
    expect((user + system) / 1_000).toBeLessThan(100)
  })

  test('prints many documents at once, each as the main thread would print it', async () => {
    const printer = new Printer()
    const titles = ['Lease', 'Οδός', 'Їжак', 'Nguyễn', 'Lease', 'Łódź']
    const printed = await Promise.all(titles.map((title) => printer.print(documentOf(title))))
    for (const [at, title] of titles.entries())
      expect(printed[at]?.equals(await renderLease(documentOf(title)))).toBe(true)
  })

  test('refuses a document with a character that cannot be drawn, and prints the next', async () => {
    const printer = new Printer()
    const refused = printer.print(documentOf('a漢'))
    const next = printer.print(documentOf('a'))
    await expect(refused).rejects.toMatchObject({
      code: 'CONFLICT',
      extra: {
        detail: 'The document cannot be printed: there is no glyph for the character “漢” (U+6F22).',
      },
    })
    expect((await next).subarray(0, 5).toString()).toBe('%PDF-')
  })

  test('reports that printing failed, and prints the next', async () => {
    const printer = new Printer()
    await expect(printer.print(BROKEN)).rejects.toThrow()
    expect((await printer.print(documentOf('a'))).subarray(0, 5).toString()).toBe('%PDF-')
  })

  test('fails the documents of a thread that ends, and starts another thread for the next', async () => {
    const printer = new Printer(
      new URL(
        'data:text/javascript,import{parentPort}from"node:worker_threads";parentPort.on("message",()=>process.exit(1))',
      ),
    )
    for (let round = 0; round < 2; round++) {
      const ends = await Promise.allSettled(['a', 'b'].map((title) => printer.print(documentOf(title))))
      for (const end of ends)
        expect(end).toMatchObject({ status: 'rejected', reason: { message: 'the printing thread ended' } })
    }
  })

  test('accepts no more documents than it can print soon', async () => {
    const printer = new Printer()
    const all = Array.from({ length: 201 }, () => printer.print(BROKEN))
    const codes = (await Promise.allSettled(all)).map((end) => end.status === 'rejected' && end.reason.code)
    expect(codes.filter((code) => code === 'NO_CONNECTION_AVAILABLE')).toHaveLength(1)
    expect(codes.at(-1)).toBe('NO_CONNECTION_AVAILABLE')
  })
})
