import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A message that the code logs, with its level and its position. */
export interface LoggedMessage {
  readonly message: string
  /** Null if the level is chosen at run time. */
  readonly level: string | null
  readonly at: string
}

export interface LogCalls {
  readonly messages: readonly LoggedMessage[]
  /** Calls whose message this reader cannot find. */
  readonly unread: readonly string[]
}

/** Names of parameters that hold the message of another call, which is read there. */
const PASSED_ON = ['message', 'line']

/** All messages that `src` logs, read from its text. */
export function logCallsIn(root: string): LogCalls {
  const messages: LoggedMessage[] = []
  const unread: string[] = []
  for (const path of globSync('src/**/*.ts', { cwd: root }).toSorted()) {
    const text = readFileSync(join(root, path), 'utf8')
    for (const { level, argument, line } of callsIn(text)) {
      const at = `${path}:${line}`
      const found = messagesOf(argument, text)
      if (found.length === 0 && !PASSED_ON.includes(argument)) unread.push(`${at}: ${argument}`)
      messages.push(...found.map((message) => ({ message, level, at })))
    }
  }
  return { messages, unread }
}

interface Call {
  readonly level: string | null
  /** The last argument, as written. */
  readonly argument: string
  readonly line: number
}

/** `log.warn(…)`, `this.#log?.info(…)`, `request.log[level](…)`. */
export function callsIn(text: string): Call[] {
  const call = /\blog\??(?:\.(info|warn|error|debug|fatal|trace)|\[\w+\])\(/g
  return [...text.matchAll(call)].map(({ 0: matched, 1: level, index }) => ({
    level: level ?? null,
    argument: argumentsFrom(text, index + matched.length).at(-1) ?? '',
    line: text.slice(0, index).split('\n').length,
  }))
}

/** The arguments of a call, after its opening parenthesis. Commas within brackets and strings do not separate them. */
function argumentsFrom(text: string, start: number): string[] {
  const token = /'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`(?:\\.|[^`\\])*`|[([{]|[)\]}]|,/g
  token.lastIndex = start
  const found: string[] = []
  let depth = 0
  let from = start
  for (let match = token.exec(text); match !== null; match = token.exec(text)) {
    const [sign] = match
    if (/^[([{]$/.test(sign)) depth += 1
    else if (/^[)\]}]$/.test(sign)) depth -= 1
    const isEnd = depth < 0
    if (isEnd || (depth === 0 && sign === ',')) {
      found.push(text.slice(from, match.index).trim())
      from = match.index + 1
    }
    if (isEnd) break
  }
  return found.filter((argument) => argument !== '')
}

/** The literal itself, or those of the constant of that name. */
function messagesOf(argument: string, text: string): string[] {
  const literals = (code: string) =>
    [...code.matchAll(/'((?:\\.|[^'\\\n])*)'|"((?:\\.|[^"\\\n])*)"/g)].map(
      ([, single, double]) => single ?? double ?? '',
    )
  if (!/^\w+$/.test(argument)) return literals(argument)
  const [, value = ''] = new RegExp(`\\bconst ${argument} =([^\\n]*(?:\\n\\s*[?:][^\\n]*)*)`).exec(text) ?? []
  return literals(value)
}
