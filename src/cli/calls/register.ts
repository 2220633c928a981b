import { type Command, Option } from 'commander'
import type { ExitCode } from '../exit-codes.ts'
import { jsonOption } from '../options.ts'
import { type ApiCommand, argumentsOf, type Flag } from './command.ts'
import { API_COMMANDS, NOUNS } from './table.ts'

/** Adds a command for each noun, with its verbs below it. `ended` gets the exit code of a command that has run. */
export function addApiCommands(program: Command, ended: (code: ExitCode) => void): void {
  for (const noun of NOUNS) {
    const ofNoun = API_COMMANDS.filter((each) => each.noun === noun)
    const [first] = ofNoun
    if (first?.verb === null) {
      addCommand(program, first, ended)
      continue
    }
    const group = program.command(noun).description(ofNoun.map(({ verb }) => verb).join(' | '))
    for (const each of ofNoun) addCommand(group, each, ended)
  }
}

function addCommand(parent: Command, declared: ApiCommand, ended: (code: ExitCode) => void): void {
  const made = parent.command(declared.verb ?? declared.noun).description(declared.summary)
  const names = argumentsOf(declared)
  for (const name of names) made.argument(`<${name}>`)
  for (const option of optionsOf(declared)) made.addOption(option)
  made.action(async (...all: unknown[]) => {
    const args = names.map((_, at) => String(all[at]))
    const flags = flagsOf(declared, made.opts())
    // Loaded here, so that --help and other commands need not load it.
    const { runApiCommand } = await import('./run.ts')
    ended(await runApiCommand(declared, { args, flags }))
  })
}

/** The flags by the names in the table. Commander turns `pool-size` into `poolSize`, and `--no-parent` into a false `parent`. */
function flagsOf({ flags }: ApiCommand, options: Record<string, unknown>): Record<string, unknown> {
  const named = flags.map(({ name, kind }) => {
    const isNegated = kind === 'switch' && name.startsWith('no-')
    const value = options[camel(isNegated ? name.slice('no-'.length) : name)]
    if (isNegated) return [name, value === false ? true : undefined]
    return [name, typeof value === 'boolean' && kind !== 'switch' ? undefined : value]
  })
  return { ...options, ...Object.fromEntries(named) }
}

const camel = (name: string) => name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())

/** All options of a command, its own ones first. */
export function optionsOf(declared: ApiCommand): Option[] {
  const { flags, columns, question, isFollowed, prefix } = declared
  return [
    ...flags.map(optionOf),
    ...(columns === undefined ? [] : pageOptions()),
    ...(question === undefined ? [] : [new Option('--yes', 'do not ask')]),
    ...(isFollowed === true ? followOptions() : []),
    new Option('--url <url>', 'the gateway (FREEHOLD_URL)'),
    ...(prefix === ''
      ? []
      : [new Option('--token-file <file>', "file with an operator's token (FREEHOLD_TOKEN)")]),
    new Option('--timeout <seconds>', 'how long to wait for an answer').default('60'),
    jsonOption(),
  ]
}

function optionOf(flag: Flag): Option {
  const value: Readonly<Record<Flag['kind'], string>> = {
    text: ' <text>',
    number: ' <number>',
    names: ' <names>',
    numbers: ' <numbers>',
    tenant: ' <tenant>',
    'text-file': ' <file>',
    'json-file': ' <file>',
    choice: ' <word>',
    switch: '',
  }
  const option = new Option(`--${flag.name}${value[flag.kind]}`, flag.help)
  if (flag.kind === 'choice') option.choices([...flag.choices])
  return option.makeOptionMandatory(flag.isRequired === true)
}

function pageOptions(): Option[] {
  return [
    new Option('--limit <number>', 'how many to list (default: 50)'),
    new Option('--all', 'list all'),
    new Option('--cursor <cursor>', 'go on after the nextCursor of an earlier answer'),
  ]
}

function followOptions(): Option[] {
  return [
    new Option('--detach', 'do not wait for the end'),
    new Option('--interval <seconds>', 'how often to look').default('1'),
  ]
}
