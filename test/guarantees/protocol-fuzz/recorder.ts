import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { readMessages } from '../../support/fake-server.ts'
import { addressOf } from '../../support/tenant-database.ts'

const AUTHENTICATION = 0x52

export interface Recorder {
  /** The URL of the recorded server, through the recorder. */
  readonly url: string
  /** The messages of the server, turn by turn. */
  readonly turns: () => Buffer[][]
  close(): void
}

/** A proxy between one client and a PostgreSQL. It passes everything on, and records the server's messages. */
export async function startRecorder(url: string): Promise<Recorder> {
  const { host, port } = addressOf(url)
  const turns: Buffer[][] = []
  const sockets = new Set<Socket>()
  const listener = createServer((client) => {
    const server = connect(port, host)
    for (const socket of [client, server]) sockets.add(socket.on('error', () => socket.destroy()))
    readMessages(client, (type) => {
      if (['startup', 'p', 'Q', 'S', 'f'].includes(type)) turns.push([])
    })
    client.pipe(server)
    server.on('data', (chunk) => {
      turns.at(-1)?.push(chunk)
      client.write(chunk)
    })
    server.on('end', () => client.end())
  })
  await once(listener.listen(0, '127.0.0.1'), 'listening')
  const by = new URL(url)
  by.port = String((listener.address() as { port: number }).port)
  return {
    url: by.href,
    turns: () => turns.map((chunks) => messagesIn(Buffer.concat(chunks))),
    close: () => {
      listener.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** The same conversation with a server that asks for no password: only the last turn of the start remains. */
export function withoutPassword(turns: readonly Buffer[][]): Buffer[][] {
  const isLetIn = (whole: Buffer) => whole[0] === AUTHENTICATION && whole.readInt32BE(5) === 0
  const first = turns.findIndex((messages) => messages.some(isLetIn))
  const [start = [], ...rest] = turns.slice(first)
  return [start.slice(start.findIndex(isLetIn)), ...rest]
}

function messagesIn(bytes: Buffer): Buffer[] {
  const found: Buffer[] = []
  for (let at = 0; at < bytes.length; at += 1 + bytes.readInt32BE(at + 1))
    found.push(bytes.subarray(at, at + 1 + bytes.readInt32BE(at + 1)))
  return found
}
