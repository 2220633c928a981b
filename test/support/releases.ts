import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { Application } from '../../src/application.ts'
import { property } from './application.ts'

/** The reference application as a release with these additional migrations, by file name. */
export async function releaseWith(
  more: Readonly<Record<string, string>>,
  until: (clean: () => Promise<void>) => void = onTestFinished,
): Promise<Application> {
  const folder = await mkdtemp(join(tmpdir(), 'freehold-release-'))
  until(() => rm(folder, { recursive: true, force: true }))
  await cp(property.migrations, folder, { recursive: true })
  for (const [name, sql] of Object.entries(more)) await writeFile(join(folder, `${name}.sql`), sql)
  return { ...property, migrations: folder }
}

/** What an older release lacks: the column with a person's name, which the collection of contacts needs. */
export const HIDDEN = { '0090_hide': 'ALTER TABLE contacts RENAME COLUMN phone TO telephone' }
export const SHOWN = { ...HIDDEN, '0091_show': 'ALTER TABLE contacts RENAME COLUMN telephone TO phone' }
