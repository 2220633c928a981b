import pg from 'pg'

/** The outcome of a command: the server's command tag or the error, and whether the command was sent at all. */
export interface SentCommand {
  readonly wasSent: boolean
  readonly command?: string
  readonly error?: unknown
}

/**
 * Sends a command without parameters. Never rejects.
 * pg calls `submit` when the connection is free. If the connection is dead before that, nothing is written.
 */
export function sendCommand(client: pg.ClientBase, text: string): Promise<SentCommand> {
  return new Promise((resolve) => {
    let wasSent = false
    const query = new pg.Query(text, (error: unknown, result) => {
      resolve(error ? { wasSent, error } : { wasSent, command: result.command })
    })
    const { submit } = query
    query.submit = (connection) => {
      wasSent = true
      return submit.call(query, connection)
    }
    client.query(query)
  })
}
