import { amountOf } from './amounts.ts'
import { breakLongWords, type DocumentFonts, drawable, forgetGlyphs, openFonts } from './fonts.ts'
import type { LeaseTerms } from './terms.ts'

/** The printed fields of a document. */
export interface PrintableDocument {
  readonly id: string
  readonly title: string
  readonly createdAt: string
  readonly terms: LeaseTerms
}

type Line = readonly [label: string, text: string]

/** Longer than any text in our tables. A hostile dedicated database may answer more, and printing that would block the thread. */
const MAX_LINE_LENGTH = 600
const MAX_LINES = 20
const MARGIN = 64
const LABEL_WIDTH = 130
const TITLE_SIZE = 20
const HEADING_SIZE = 13
const TEXT_SIZE = 10

type FontName = keyof DocumentFonts

/** With `ccmp`, Noto Sans splits some letters (`ị`) into letter and mark. They look the same, but a copy of the text loses the mark. */
const FEATURES = { ccmp: false } as unknown as PDFKit.Mixins.OpenTypeFeatures[]

/**
 * Prints the terms. The bytes depend on the document alone, so the ETag of an unsigned document stays the same: no clock, no random
 * ids, and no Intl, because its output changes with its data.
 * @throws UndrawableError for a character that the fonts do not have
 */
export async function renderLease(document: PrintableDocument): Promise<Buffer> {
  // Loaded here, because the library and its fonts are large and most processes never print.
  const [{ default: PDFDocument }, fonts] = await Promise.all([import('pdfkit'), openFonts()])
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
  for (const name of ['regular', 'bold'] as const) pdf.registerFont(name, fonts[name] as never)
  const pieces: Buffer[] = []
  pdf.on('data', (piece: Buffer) => pieces.push(piece))
  const ended = new Promise<void>((resolve, reject) => pdf.once('end', resolve).once('error', reject))
  forgetGlyphs(fonts)
  print(new Sheet(pdf, fonts), document)
  pdf.end()
  await ended
  return Buffer.concat(pieces)
}

/** Draws texts on a document. Checks each text first. */
class Sheet {
  readonly #pdf: PDFKit.PDFDocument
  readonly #fonts: DocumentFonts

  constructor(pdf: PDFKit.PDFDocument, fonts: DocumentFonts) {
    this.#pdf = pdf
    this.#fonts = fonts
  }

  title(text: string): void {
    const width = this.#pdf.page.width - 2 * MARGIN
    this.#pdf.fontSize(TITLE_SIZE)
    this.#use('bold')
      .text(this.#shown(text, 'bold', { width, size: TITLE_SIZE }), { features: FEATURES })
      .moveDown()
  }

  section(heading: string, lines: readonly Line[]): void {
    this.#use('bold').fontSize(HEADING_SIZE).text(heading, MARGIN).moveDown(0.4)
    this.#pdf.fontSize(TEXT_SIZE)
    for (const line of lines.slice(0, MAX_LINES)) this.#line(line)
    this.#pdf.moveDown()
  }

  #line([label, text]: Line): void {
    const pdf = this.#pdf
    const width = pdf.page.width - 2 * MARGIN - LABEL_WIDTH
    const shown = this.#shown(text, 'regular', { width, size: TEXT_SIZE })
    // Label and text must be on the same page, so begin a new page before the label if there is too little room.
    const height = this.#use('regular').heightOfString(shown, { width, features: FEATURES })
    if (pdf.y + height > pdf.page.height - MARGIN) pdf.addPage()
    const top = pdf.y
    this.#use('bold').text(label, MARGIN, top, { width: LABEL_WIDTH })
    this.#use('regular')
      .text(shown, MARGIN + LABEL_WIDTH, top, { width, features: FEATURES })
      .moveDown(0.3)
  }

  #use(name: FontName): PDFKit.PDFDocument {
    return this.#pdf.font(name)
  }

  #shown(text: string, name: FontName, column: { width: number; size: number }): string {
    const font = this.#fonts[name]
    return breakLongWords(drawable(text.slice(0, MAX_LINE_LENGTH), font), font, column)
  }
}

function print(sheet: Sheet, document: PrintableDocument): void {
  const { terms } = document
  sheet.title(document.title)
  sheet.section('Premises', premisesOf(terms))
  const lessees = terms.lessees.slice(0, MAX_LINES).map(lesseeLine)
  sheet.section(terms.lessees.length === 1 ? 'Lessee' : 'Lessees', lessees)
  sheet.section('Terms', termLines(terms))
  sheet.section('Document', [
    ['Number', document.id],
    ['Lease', terms.lease.id],
    ['Made', `${document.createdAt.slice(0, 10)} ${document.createdAt.slice(11, 19)} UTC`],
  ])
}

function premisesOf({ estate, place }: LeaseTerms): Line[] {
  const { line1, line2, postalCode, city, country } = place.address ?? {}
  const town = [postalCode, city].filter(Boolean).join(' ')
  const address = [line1, line2, town, country].filter(Boolean).join(', ')
  return withText([
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
  return withText([
    ['From', startsOn],
    ['To', endsOn ?? 'open end'],
    ['Rent', amountOf(rentCents, currency)],
    ['Deposit', depositCents === null ? null : amountOf(depositCents, currency)],
  ])
}

function withText(lines: readonly (readonly [string, string | null])[]): Line[] {
  return lines.filter((line): line is Line => line[1] !== null)
}
