/** The states of an exchange with a server, as `BackendFrames` follows it. */

/** What the client has sent and the server must answer, in this order. A simple query and a startup end with `ready`. */
export const Step = {
  parse: 1,
  bind: 2,
  describe: 3,
  parameters: 4,
  execute: 5,
  close: 6,
  query: 7,
  ready: 8,
} as const
export type Step = (typeof Step)[keyof typeof Step]

/** How far the login has come. Each state follows the one before it, except where a comment names another. */
export const Login = {
  started: 0,
  /** From `started`: the server asked for a password. */
  asked: 1,
  /** SCRAM, from `started`: the server offers it, the client begins, the server challenges, the client answers, the server proves. */
  offered: 2,
  begun: 3,
  challenged: 4,
  answered: 5,
  proven: 6,
  /** From `started`, `asked` or `proven`: the server accepted the login. */
  letIn: 7,
  /** The first ReadyForQuery has come. */
  open: 8,
} as const
export type Login = (typeof Login)[keyof typeof Login]

export const Copy = { none: 0, in: 1, out: 2, done: 3 } as const
export type Copy = (typeof Copy)[keyof typeof Copy]
