import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import type { TestProject } from 'vitest/node'
import { bundleGateway } from './gateway-bundle.ts'
import { dropRun } from './leftovers.ts'
import { packedFolder } from './package.ts'
import { startTestServer, type TestServer } from './postgres.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** A superuser's URL on the shared test server. */
    superuserUrl: string
    /** The prefix of every name that this run creates on the server. */
    runId: string
  }
}

interface SharedRun {
  users: number
  readonly runId: string
  readonly server: Promise<TestServer>
  readonly bundle: Promise<void>
}

// Each vitest project evaluates this module separately, and all of them must share one server.
const shared = globalThis as typeof globalThis & { freeholdTestRun?: SharedRun | undefined }

export async function setup(project: TestProject): Promise<void> {
  shared.freeholdTestRun ??= {
    users: 0,
    runId: randomBytes(3).toString('hex'),
    server: startTestServer(),
    bundle: bundleGateway(),
  }
  const run = shared.freeholdTestRun
  run.users++
  await run.bundle
  project.onTestsRerun(bundleGateway)
  project.provide('superuserUrl', (await run.server).superuserUrl)
  project.provide('runId', run.runId)
}

export async function teardown(): Promise<void> {
  const run = shared.freeholdTestRun
  if (run === undefined || --run.users > 0) return
  shared.freeholdTestRun = undefined
  await rm(packedFolder(run.runId), { recursive: true, force: true })
  const server = await run.server
  if (server.origin === 'TEST_DATABASE_URL') await dropRun(server.superuserUrl, run.runId)
  await server.stop()
}
