import { Option } from 'commander'

const DEFAULT_APPLICATION = './freehold.config.ts'

/** `--app FILE`: the file whose default export is the application. */
export function appOption(): Option {
  return new Option('--app <file>', 'file that exports the application').default(DEFAULT_APPLICATION)
}
