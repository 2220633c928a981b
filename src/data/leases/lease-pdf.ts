import type { LeaseTerms } from './terms.ts'
import { printable } from './win-ansi.ts'

/** A document with what is printed of it. */
export interface PrintableDocument {
  readonly id: string
  readonly title: string
  readonly createdAt: string
  readonly terms: LeaseTerms
}

type Line = readonly [label: string, text: string]

/**
 * More than our tables hold. A dedicated database may answer anything else, and a line is broken in time that grows with the
 * square of its length: a word of a hundred thousand letters would keep the process, and everybody, for half a minute.
 */
const MAX_LINE_LENGTH = 2_000
const MAX_LINES = 20
const MAX_DIGITS = 20
const MARGIN = 64
const LABEL_WIDTH = 130
const FONTS = { regular: 'Helvetica', bold: 'Helvetica-Bold' } as const

/**
 * Prints the terms. The bytes follow from the document alone: no clock, no random ids, and numbers written by ourselves,
 * because what Intl writes changes with its data. So a document that nobody has signed keeps its tag, too.
 */
export async function renderLease(document: PrintableDocument): Promise<Buffer> {
  // Only here: the library and its fonts are large, and most processes never print.
  const { default: PDFDocument } = await import('pdfkit')
  const made = new Date(document.createdAt)
  const pdf = new PDFDocument({
    size: 'A4',
    margin: MARGIN,
    compress: true,
    info: {
      Title: document.title.slice(0, MAX_LINE_LENGTH),
      Producer: 'Freehold',
      Creator: 'Freehold',
      CreationDate: made,
      ModDate: made,
    },
  })
  const pieces: Buffer[] = []
  pdf.on('data', (piece: Buffer) => pieces.push(piece))
  const ended = new Promise<void>((resolve, reject) => pdf.once('end', resolve).once('error', reject))
  print(pdf, document)
  pdf.end()
  await ended
  return Buffer.concat(pieces)
}

function print(pdf: PDFKit.PDFDocument, document: PrintableDocument): void {
  const { terms } = document
  pdf.font(FONTS.bold).fontSize(20).text(shownOf(document.title)).moveDown()
  printSection(pdf, 'Premises', premisesOf(terms))
  printSection(
    pdf,
    terms.lessees.length === 1 ? 'Lessee' : 'Lessees',
    terms.lessees.slice(0, MAX_LINES).map(lesseeLine),
  )
  printSection(pdf, 'Terms', termLines(terms))
  printSection(pdf, 'Document', [
    ['Number', document.id],
    ['Lease', terms.lease.id],
    ['Made', `${document.createdAt.slice(0, 10)} ${document.createdAt.slice(11, 19)} UTC`],
  ])
}

function printSection(pdf: PDFKit.PDFDocument, heading: string, lines: readonly Line[]): void {
  pdf.font(FONTS.bold).fontSize(13).text(heading, MARGIN).moveDown(0.4)
  pdf.fontSize(10)
  for (const [label, text] of lines.slice(0, MAX_LINES)) {
    const shown = shownOf(text)
    const width = pdf.page.width - 2 * MARGIN - LABEL_WIDTH
    // Both halves of a line stand on one page, so room is made before the first.
    const height = pdf.font(FONTS.regular).heightOfString(shown, { width })
    if (pdf.y + height > pdf.page.height - MARGIN) pdf.addPage()
    const top = pdf.y
    pdf.font(FONTS.bold).text(label, MARGIN, top, { width: LABEL_WIDTH })
    pdf
      .font(FONTS.regular)
      .text(shown, MARGIN + LABEL_WIDTH, top, { width })
      .moveDown(0.3)
  }
  pdf.moveDown()
}

function shownOf(text: string): string {
  return printable(text.slice(0, MAX_LINE_LENGTH))
}

function premisesOf({ estate, place }: LeaseTerms): Line[] {
  const { line1, line2, postalCode, city, country } = place.address ?? {}
  const town = [postalCode, city].filter(Boolean).join(' ')
  const address = [line1, line2, town, country].filter(Boolean).join(', ')
  return given([
    ['Estate', estate.name],
    ['Reference', estate.reference],
    ['Surface', estate.surfaceM2 === null ? null : `${estate.surfaceM2} m²`],
    ['Floor', estate.floor === null ? null : String(estate.floor)],
    ['Place', place.name],
    ['Address', address === '' ? null : address],
  ])
}

function lesseeLine({ kind, name, email, phone }: LeaseTerms['lessees'][number]): Line {
  return [kind === 'company' ? 'Company' : 'Person', [name, email, phone].filter(Boolean).join(', ')]
}

function termLines({ lease }: LeaseTerms): Line[] {
  const { startsOn, endsOn, currency, rentCents, depositCents } = lease
  return given([
    ['From', startsOn],
    ['To', endsOn ?? 'open end'],
    ['Rent', amountOf(rentCents, currency)],
    ['Deposit', depositCents === null ? null : amountOf(depositCents, currency)],
  ])
}

function given(lines: readonly (readonly [string, string | null])[]): Line[] {
  return lines.filter((line): line is Line => line[1] !== null)
}

/** 123456 cents of EUR → `EUR 1,234.56`. */
function amountOf(cents: number, currency: string): string {
  const digits = String(cents).slice(0, MAX_DIGITS).padStart(3, '0')
  const whole = digits.slice(0, -2).replace(/\B(?=(\d{3})+$)/g, ',')
  return `${currency} ${whole}.${digits.slice(-2)}`
}
