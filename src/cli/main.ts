import { runCommandLine } from './command-line.ts'
import { EXIT } from './exit-codes.ts'

const exitCode = await runCommandLine(process.argv.slice(2))
// A command that has begun to serve goes on; one that failed may have left something open.
if (exitCode !== EXIT.done) process.exit(exitCode)
