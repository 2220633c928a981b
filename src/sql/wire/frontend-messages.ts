/** The bytes of the messages that a lane sends. */

/** The end of Bind: all results are text. */
export const RESULTS_AS_TEXT = Buffer.alloc(2)
/** All rows of the unnamed portal. */
export const EXECUTE = message('E', zeroEnded(''), int32(0))
export const SYNC = message('S')

/**
 * Prepares a statement anew. Closing a name that does not exist is no error. So the server accepts the name, whatever was
 * prepared under it before.
 */
export function prepareMessages(name: string, text: string): Buffer {
  const named = [Buffer.from('S'), zeroEnded(name)]
  return Buffer.concat([
    message('C', ...named),
    message('P', zeroEnded(name), zeroEnded(text), Buffer.alloc(2)),
    message('D', ...named),
  ])
}

/** The beginning of Bind: the unnamed portal, the statement, and that all parameters are text. */
export function bindHead(name: string): Buffer {
  return Buffer.concat([zeroEnded(''), zeroEnded(name), Buffer.alloc(2)])
}

export function message(type: string, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([Buffer.from(type, 'latin1'), int32(body.length + 4), body])
}

export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

function zeroEnded(text: string): Buffer {
  return Buffer.from(`${text}\0`)
}
