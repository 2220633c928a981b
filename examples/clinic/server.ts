import Fastify from 'fastify'
import { createGateway, freehold, freeholdApi } from 'freehold'
import application from './freehold.config.ts'

const gateway = createGateway({ application })
const app = Fastify()
await app.register(freehold, { gateway })
await app.register(freeholdApi, { gateway, prefix: '/api/v1' })
app.get('/', async () => 'The clinic')
const address = await app.listen({ port: Number(process.env.PORT ?? 3000) })
process.stdout.write(`The clinic is at ${address}\n`)
