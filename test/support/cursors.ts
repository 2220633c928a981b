import { CursorCodec } from '../../src/collections/cursor.ts'
import { DataKey } from '../../src/crypto/keyring.ts'

/** Cursors as a gateway makes them, under a key of the test. */
export function makeCursors(): CursorCodec {
  const key = DataKey.generate()
  return new CursorCodec((message) => key.mac('cursor', message))
}
