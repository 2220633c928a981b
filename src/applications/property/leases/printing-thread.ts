import { parentPort } from 'node:worker_threads'
import { UndrawableError } from './fonts.ts'
import { type PrintableDocument, renderLease } from './lease-pdf.ts'

// The script of the printer's thread.

export interface PrintOrder {
  readonly number: number
  readonly document: PrintableDocument
}

export type Printed =
  | { readonly number: number; readonly bytes: Uint8Array }
  | { readonly number: number; readonly undrawable: string }
  | { readonly number: number; readonly error: unknown }

parentPort?.on('message', async ({ number, document }: PrintOrder) => {
  parentPort?.postMessage(await print(number, document))
})

async function print(number: number, document: PrintableDocument): Promise<Printed> {
  try {
    return { number, bytes: await renderLease(document) }
  } catch (error) {
    return error instanceof UndrawableError ? { number, undrawable: error.character } : { number, error }
  }
}
