import type { Command } from 'commander'
import { NOUNS } from './table.ts'

const WIDTH = 78
const INDENT = '  '

/** The help of the program, short enough for a screen of 24 lines. Nouns stand side by side: each explains itself with --help. */
export function programHelp(program: Command): string {
  const own = program.commands.filter((each) => !NOUNS.includes(each.name()))
  return [
    'Usage: freehold <command> [--help] | --version',
    '',
    program.description(),
    '',
    'An application:',
    ...own.map((each) => `${INDENT}${each.name().padEnd(10)}${shortened(each.description())}`),
    '',
    'A running gateway, as an operator (freehold <noun> --help lists the verbs):',
    ...filled(NOUNS),
    '',
    'FREEHOLD_URL or --url names the gateway (default http://127.0.0.1:8080).',
    'FREEHOLD_TOKEN or --token-file has the token. --json prints JSON.',
    '',
  ].join('\n')
}

function shortened(text: string): string {
  const room = WIDTH - INDENT.length - 10
  return text.length <= room ? text : `${text.slice(0, text.lastIndexOf(' ', room - 1))}…`
}

function filled(words: readonly string[]): string[] {
  const lines = ['']
  for (const word of words) {
    const line = lines.at(-1) ?? ''
    if (line.length + word.length + 1 <= WIDTH - INDENT.length)
      lines[lines.length - 1] = `${line}${line === '' ? '' : ' '}${word}`
    else lines.push(word)
  }
  return lines.map((line) => `${INDENT}${line}`)
}
