import type { SeededFault } from './seeded-fault.ts'

const PDF = ['test/unit/property/lease-pdf.test.ts']
const PRINTER = ['test/unit/property/printer.test.ts']
const PUBLIC = ['test/http/printed-documents.test.ts']

/** Protections for the text and the bytes of a document. */
export const DOCUMENTS: readonly SeededFault[] = [
  {
    name: 'a character that cannot be drawn is drawn as an empty box',
    file: 'src/applications/property/leases/fonts.ts',
    find: 'throw new UndrawableError(character)',
    replace: 'break',
    tests: [...PDF, ...PUBLIC],
  },
  {
    name: 'a script whose letters must be joined is drawn letter by letter',
    file: 'src/applications/property/leases/fonts.ts',
    find: '!(hasGlyph && DRAWN.test(character))',
    replace: '!hasGlyph',
    tests: PUBLIC,
  },
  {
    name: 'that a document cannot be drawn is our own fault (500)',
    file: 'src/applications/property/leases/printing-thread.ts',
    find: 'error instanceof UndrawableError ?',
    replace: 'error === null ?',
    tests: PUBLIC,
  },
  {
    name: 'documents are drawn on the thread that answers requests',
    file: 'src/applications/property/leases/printer.ts',
    find: '    this.#thread ??= this.#start()\n',
    replace:
      "    return (await import('./lease-pdf.ts')).renderLease(document)\n    this.#thread ??= this.#start()\n",
    tests: PRINTER,
  },
  {
    name: 'what waits for a thread that has ended waits for ever',
    file: 'src/applications/property/leases/printer.ts',
    find: "thread.on('exit', () => this.#failPending(thread, cause))",
    replace: "thread.on('exit', () => void cause)",
    tests: PRINTER,
  },
  {
    name: 'a text of any length is drawn, which keeps the printer for as long',
    file: 'src/applications/property/leases/lease-pdf.ts',
    find: 'drawable(text.slice(0, MAX_LINE_LENGTH), font)',
    replace: 'drawable(text, font)',
    tests: PDF,
  },
  {
    name: 'what a document can be copied as depends on those before it',
    file: 'src/applications/property/leases/lease-pdf.ts',
    find: '  forgetGlyphs(fonts)\n',
    replace: '',
    tests: PDF,
  },
  {
    name: 'every currency has cents',
    file: 'src/applications/property/leases/amounts.ts',
    find: 'DECIMALS.get(currency) ?? 2',
    replace: '2',
    tests: PDF,
  },
  {
    name: 'a long word is broken in the square of its length',
    file: 'src/applications/property/leases/lease-pdf.ts',
    find: 'return breakLongWords(drawable(text.slice(0, MAX_LINE_LENGTH), font), font, column)',
    replace: 'return drawable(text.slice(0, MAX_LINE_LENGTH), font)',
    tests: PDF,
  },
]
