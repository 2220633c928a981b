import { startEmbeddedServer } from '../../src/embedded/server.ts'
import { superuserUrlOf } from './postgres.ts'

// A process that tests kill: it starts an embedded server in the given directory, prints the address, and keeps running.
const [dataDir = ''] = process.argv.slice(2)
const server = await startEmbeddedServer({ dataDir, settings: { fsync: 'off' } })
console.log(JSON.stringify({ port: server.port, url: superuserUrlOf(server) }))
process.on('SIGTERM', () => server.stop().then(() => process.exit(0)))
setInterval(() => {}, 60_000)
