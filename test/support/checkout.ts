import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The root of this checkout. */
export const checkout = fileURLToPath(new URL('../..', import.meta.url))

/** The gateway's program as it stands in the sources. */
export const mainFile = join(checkout, 'src', 'main.ts')
