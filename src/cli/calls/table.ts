import type { ApiCommand } from './command.ts'
import {
  ACCOUNT_COMMANDS,
  KEY_COMMANDS,
  OPERATOR_COMMANDS,
  ROLE_COMMANDS,
  USER_COMMANDS,
} from './nouns/people.ts'
import { JOBS, MIGRATIONS, SERVICE } from './nouns/running.ts'
import { SERVERS } from './nouns/servers.ts'
import { DATABASES, EXPLAIN, TENANTS } from './nouns/tenants.ts'

/** Every call of the operator API, in the order of the help. A call without a command fails a test. */
export const API_COMMANDS: readonly ApiCommand[] = [
  ...TENANTS,
  ...DATABASES,
  ...SERVERS,
  ...MIGRATIONS,
  ...JOBS,
  ...USER_COMMANDS,
  ...ROLE_COMMANDS,
  ...KEY_COMMANDS,
  ...ACCOUNT_COMMANDS,
  ...OPERATOR_COMMANDS,
  ...SERVICE,
  ...EXPLAIN,
]

export const NOUNS: readonly string[] = [...new Set(API_COMMANDS.map(({ noun }) => noun))]
