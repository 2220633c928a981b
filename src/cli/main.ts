import { endOnClosedPipe } from './closed-pipe.ts'
import { EXIT } from './exit-codes.ts'
import { startQuickly } from './quick-start.ts'

startQuickly()
endOnClosedPipe()
// Loaded after that, because it takes effect on later imports only.
const { runCommandLine } = await import('./command-line.ts')
const exitCode = await runCommandLine(process.argv.slice(2))
// A command that serves keeps the process running. A failed command may have left something open, so it ends the process.
if (exitCode !== EXIT.done) process.exit(exitCode)
