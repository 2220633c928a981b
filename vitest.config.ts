import { defineConfig } from 'vitest/config'
import { LongestFirst } from './test/support/longest-first.ts'

const globalSetup = ['test/support/global-setup.ts']

export default defineConfig({
  test: {
    pool: 'forks',
    setupFiles: ['test/support/system-clock.ts'],
    // For two cores, which the servers under test share: much of a file's time is waiting for timers and other processes.
    maxWorkers: 4,
    sequence: { sequencer: LongestFirst },
    // Long, for a busy machine: what a test waits for comes, or never comes. A test that is about a time names it.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    expect: { poll: { timeout: 60_000 } },
    // Files follow one another in a worker's process: the application is read and compiled twice, not once a file. What a
    // file replaces or opens it puts back and closes, and no module holds state of its own.
    isolate: false,
    execArgv: [`--import=${new URL('test/support/quick-imports.mjs', import.meta.url).href}`],
    // Stopping a server cleanly takes its checkpoint.
    teardownTimeout: 30_000,
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: ['test/unit/**/*.test.ts'], sequence: { groupOrder: 0 } },
      },
      {
        extends: true,
        test: {
          name: 'integration',
          include: [
            'test/{application,http,stories,guarantees,catalog,pools,migrations,schema,containers,package}/**/*.test.ts',
          ],
          globalSetup,
          sequence: { groupOrder: 1 },
        },
      },
      {
        // Last and by themselves: they stop servers and measure how long things take.
        extends: true,
        test: {
          name: 'faults',
          include: ['test/faults/**/*.test.ts'],
          globalSetup,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
})
