import { createGateway } from 'freehold'
import application from './freehold.config.ts'
import { remind } from './reminders.ts'

const [, , code = 'acme-corp'] = process.argv
const gateway = createGateway({ application })
await gateway.start()
const reminded = await gateway.tenants.run(code, remind, { actor: 'remind-now' })
process.stdout.write(`${reminded} reminded\n`)
await gateway.close()
