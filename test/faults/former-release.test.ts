import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { dropAll, query } from '../support/database.ts'
import { makeFormerCatalog, makeFormerTenantDatabase, rowsWithLineage } from '../support/former-release.ts'
import { createStage, type Stage } from '../support/gateway.ts'
import { PLACES, startProcess } from './support.ts'

const REPLICA = '01900000-0000-7000-8000-0000000000aa'

let stage: Stage

beforeAll(async () => {
  stage = await createStage({ empty: true })
  await makeFormerCatalog(stage.catalogUrl)
  await makeFormerTenantDatabase(stage.sharedUrl)
})
afterAll(dropAll)

describe('databases of the release before lineages', () => {
  test('stay unchanged while a replica of that release runs, and are converted when the last has stopped', async () => {
    const beat = () =>
      query(
        stage.catalogUrl,
        `INSERT INTO replicas (id) VALUES ('${REPLICA}') ON CONFLICT (id) DO UPDATE SET heartbeat_at = now()`,
      )
    await beat()
    const beating = setInterval(() => void beat().catch(() => undefined), 1_000)
    const { process, caller } = await startProcess(stage)
    try {
      await process.until(/replicas of an older release are running/)
      expect((await caller.call('GET', '/readyz')).status).toBe(503)
      expect(await rowsWithLineage(stage.catalogUrl)).toBeNull()
      clearInterval(beating)
      await query(stage.catalogUrl, `DELETE FROM replicas WHERE id = '${REPLICA}'`)
      await vi.waitUntil(async () => (await caller.call('GET', '/readyz')).status === 200, 20_000)
      expect(await rowsWithLineage(stage.catalogUrl)).not.toBeNull()
      expect(await rowsWithLineage(stage.sharedUrl)).not.toBeNull()
      const acme = await caller.createTenant('acme-corp')
      expect((await caller.call('GET', PLACES, { token: acme.token })).status).toBe(200)
    } finally {
      clearInterval(beating)
      await process.end()
    }
  })
})
