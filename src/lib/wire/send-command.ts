import pg from 'pg'

/** What became of a command: the word the server answered with, or the error, and whether it went out at all. */
export interface SentCommand {
  readonly wasSent: boolean
  readonly command?: string
  readonly error?: unknown
}

/**
 * Sends a command without parameters. Never rejects.
 * pg calls `submit` when the connection's turn has come; one that is found dead before that is never written to.
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
