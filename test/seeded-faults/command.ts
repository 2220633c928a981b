import type { SeededFault } from './seeded-fault.ts'

const CONFIGURATION = ['test/unit/cli/configuration.test.ts']
const COMMANDS = ['test/stories/command-line.test.ts']
const INIT = ['test/package/init.test.ts']

/** Protections in the command `freehold`. */
export const COMMAND: readonly SeededFault[] = [
  {
    name: 'a default export of something else is served',
    file: 'src/cli/load-application.ts',
    find: 'if (isApplication(made)) return made',
    replace: 'if (made !== null) return made as Application',
    tests: CONFIGURATION,
  },
  {
    name: 'an import without its extension is told without the file that was meant',
    file: 'src/cli/load-failure.ts',
    find: '`${written}.ts`, ',
    replace: '',
    tests: CONFIGURATION,
  },
  {
    name: 'freehold migrate --check applies',
    file: 'src/cli/schema/comparison.ts',
    find: 'check ? missingIn : applyTo',
    replace: 'applyTo',
    tests: COMMANDS,
  },
  {
    name: 'freehold migrate --check ends with 0 though something is missing',
    file: 'src/cli/schema/comparison.ts',
    find: 'if (check && missing > 0)',
    replace: 'if (check && missing < 0)',
    tests: COMMANDS,
  },
  {
    name: 'of settings and application only the first fault is told',
    file: 'src/cli/inputs.ts',
    find: '[settings.reason, application.reason]',
    replace: '[settings.reason]',
    tests: COMMANDS,
  },
  {
    name: 'freehold init writes into a folder that is not empty',
    file: 'src/cli/init.ts',
    find: '(await readdir(directory)).length > 0',
    replace: '(await readdir(directory)).length < 0',
    tests: INIT,
  },
  {
    name: 'the package uses another that it does not declare',
    file: 'package.json',
    find: '    "lru-cache": "11.5.3",\n',
    replace: '',
    tests: INIT,
  },
]
