/** `npm run bench`: compares the gateway with services that work without it, in turns, on the same rows. See docs/performance.md. */
import { writeFile } from 'node:fs/promises'
import { measureGates } from './gates.ts'
import type { Bench } from './measure/bench.ts'
import type { Group } from './measure/group.ts'
import { LoadGenerator } from './measure/load-generator.ts'
import { measureGroup } from './measure/rounds.ts'
import { type BenchOptions, parseOptions } from './options.ts'
import { createReport, describeMachine } from './report/json.ts'
import { gateLines, groupLines } from './report/table.ts'
import { DEDICATED_ROWS, measureDedicated } from './scenes/dedicated.ts'
import { measureShared, SHARED_ROWS } from './scenes/shared.ts'

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2))
  const wants = createFilter(options)
  const machine = describeMachine()
  print([
    `${machine.cores} cores (${machine.cpu}), load average ${machine.loadAverageBefore.toFixed(2)} at the beginning`,
    `${options.rounds} rounds of ${options.seconds} s. Figures are medians; a ratio is the median of the ratios within a round, with the least and the greatest.`,
  ])
  if (options.only === null) print(gateLines(await measureGates()))
  const groups: Group[] = []
  const load = new LoadGenerator()
  try {
    const bench = createBench({ options, load, wants }, groups)
    await measureShared(bench)
    await measureDedicated(bench)
  } finally {
    load.close()
  }
  if (options.jsonFile === null) return
  const report = createReport(groups, machine, options)
  await writeFile(options.jsonFile, `${JSON.stringify(report, null, 2)}\n`)
}

/** @throws Error if the command line leaves out all rows */
function createFilter({ only }: BenchOptions): Bench['wants'] {
  const wants: Bench['wants'] = (row, placement) => only === null || `${row}, ${placement}`.includes(only)
  if ([...SHARED_ROWS, ...DEDICATED_ROWS].some((row) => wants(...row))) return wants
  throw new Error(`no row's name contains ${JSON.stringify(only)}`)
}

function createBench(base: Pick<Bench, 'options' | 'load' | 'wants'>, groups: Group[]): Bench {
  const { options, wants } = base
  return {
    ...base,
    say: print,
    measure: async (group) => {
      if (!wants(group.row, group.placement)) return
      await measureGroup(group, options)
      const concluded = { ...group, notes: [...group.notes, ...((await group.conclude?.()) ?? [])] }
      groups.push(concluded)
      print(groupLines(concluded, options))
    },
  }
}

function print(lines: readonly string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`)
}

await main()
