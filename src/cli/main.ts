import { runCommandLine } from './command-line.ts'
import { EXIT } from './exit-codes.ts'

const exitCode = await runCommandLine(process.argv.slice(2))
// A command that serves keeps the process running. A failed command may have left something open, so it ends the process.
if (exitCode !== EXIT.done) process.exit(exitCode)
