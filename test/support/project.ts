import { execFile } from 'node:child_process'
import { delimiter, dirname, join } from 'node:path'
import { quickStart } from './gateway-process.ts'

export interface Said {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a command of a project as npm would. Returns its output and how it ended. */
export function runIn(
  project: string,
  [command, ...args]: readonly [string, ...string[]],
  env: Readonly<Record<string, string>> = {},
): Promise<Said> {
  const path = [join(project, 'node_modules', '.bin'), dirname(process.execPath), '/usr/bin', '/bin']
  const own = { PATH: path.join(delimiter), HOME: project, ...quickStart }
  const options = { cwd: project, env: { ...own, ...env } }
  return new Promise((resolve) => {
    execFile(command, args, options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
      resolve({ code, stdout, stderr })
    })
  })
}
