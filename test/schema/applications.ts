import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { type Application, defineApplication } from '../../src/application.ts'

const folders: string[] = []
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true })
})

/** A separate folder for migrations, which does not exist yet. */
export async function newFolder(): Promise<string> {
  const parent = await mkdtemp(join(tmpdir(), 'freehold-schema-'))
  folders.push(parent)
  return join(parent, 'migrations')
}

/** An application with these tables, whose migrations are in the folder. */
export function applicationOf(migrations: string, tables: Record<string, unknown>): Application {
  return defineApplication({ name: 'clinic', tables, migrations })
}
