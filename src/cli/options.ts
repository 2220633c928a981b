import { Option } from 'commander'

const DEFAULT_APPLICATION = './freehold.config.ts'

/** `--app FILE`: the file whose default export is the application. */
export function appOption(): Option {
  return new Option('--app <file>', 'file that exports the application').default(DEFAULT_APPLICATION)
}

/** `--json`: one document on stdout for programs, problems as JSON on stderr. */
export function jsonOption(): Option {
  return new Option('--json', 'print one JSON document instead of text')
}
