/** `npm run bench:reliability`: measures what is promised for failures. See docs/reliability.md. */
import { availableParallelism, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { coldHerd } from './cold-herd.ts'
import { deadDatabase } from './dead-database.ts'
import { drain } from './drain.ts'
import { foreignRows } from './foreign-rows.ts'
import { loginFlood } from './login-flood.ts'
import { Stage } from './stage.ts'
import { suspension } from './suspension.ts'
import { tightBudget } from './tight-budget.ts'

const FIGURES: Record<string, (stage: Stage) => Promise<readonly string[]>> = {
  'dead-database': deadDatabase,
  suspension,
  'cold-herd': coldHerd,
  'tight-budget': tightBudget,
  drain,
  'login-flood': loginFlood,
  'foreign-rows': foreignRows,
}

async function main(): Promise<void> {
  const { only } = parseArgs({ options: { only: { type: 'string' } } }).values
  const [busy = 0] = loadavg()
  process.stdout.write(`${availableParallelism()} cores, load average ${busy.toFixed(2)} at the beginning\n`)
  for (const [name, measure] of Object.entries(FIGURES)) {
    if (only !== undefined && only !== name) continue
    const stage = await Stage.create()
    try {
      const lines = await measure(stage)
      process.stdout.write(`\n${name}\n${lines.map((line) => `  ${line}\n`).join('')}`)
    } finally {
      await stage.dispose()
    }
  }
}

await main()
