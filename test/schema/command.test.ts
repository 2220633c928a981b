import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { checkout } from '../support/checkout.ts'
import { superuserUrl } from '../support/database.ts'
import { quickStart } from '../support/gateway-process.ts'

let directory: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'freehold-command-'))
  await writeFile(join(directory, 'package.json'), '{"type":"module"}')
  await symlink(join(checkout, 'node_modules'), join(directory, 'node_modules'))
})
afterAll(() => rm(directory, { recursive: true, force: true }))

const declare = (tables: string) =>
  writeFile(
    join(directory, 'freehold.config.ts'),
    `import { text } from 'drizzle-orm/pg-core'
     import { defineApplication, tenantTable } from ${JSON.stringify(join(checkout, 'src/index.ts'))}
     const tables = { ${tables} }
     export default defineApplication({ name: 'clinic', tables, migrations: new URL('./migrations', import.meta.url) })`,
  )
/** Standard input is a pipe that stays open, so a command that waits for an answer hangs. */
const freehold = (...args: string[]) =>
  new Promise<{ code: number; out: string; err: string }>((resolve) => {
    const options = {
      cwd: directory,
      env: { ...process.env, ...quickStart, TEST_DATABASE_URL: superuserUrl(), NO_COLOR: '1' },
      timeout: 60_000,
    }
    execFile(process.execPath, [join(checkout, 'bin/freehold.js'), ...args], options, (error, out, err) =>
      resolve({ code: error === null ? 0 : Number(error.code), out, err }),
    )
  })

test('a developer declares, generates, checks and changes tables by the command', async () => {
  await declare(`rooms: tenantTable('rooms', { name: text('name') })`)
  expect(await freehold('schema', 'generate', '--name', 'first')).toEqual({
    code: 0,
    out: `Wrote migrations/0000_first.sql. It creates rooms. Read it before you apply it.\n`,
    err: '',
  })
  expect(await freehold('schema', 'generate', '--name', 'again')).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^Nothing has changed/),
  })
  expect(await freehold('schema', 'check', '--json')).toEqual({
    code: 0,
    out: '{"faults":[],"notes":[]}\n',
    err: '',
  })

  await declare(`rooms: tenantTable('rooms', { title: text('title') })`)
  const renamed = await freehold('schema', 'generate', '--name', 'title')
  expect(renamed).toMatchObject({ code: 1, out: '' })
  expect(renamed.err).toMatch(/Run the command in a terminal, or make two migrations/)
  expect(renamed.err).toMatch(/the column "title" of table "rooms" is new, or was "name" before\?/)

  const file = join(directory, 'migrations', '0000_first.sql')
  await writeFile(file, (await readFile(file, 'utf8')).replace(/SELECT public.freehold_protect.*/, ''))
  await declare(`rooms: tenantTable('rooms', { name: text('name') })`)
  const open = await freehold('schema', 'check')
  expect(open).toEqual({
    code: 1,
    out: '',
    err: `The schema has a fault:\nTable "rooms" lacks Freehold's row-level security. Add to a migration: SELECT public.freehold_protect('public.rooms');\n`,
  })
})

test('a missing or invalid name is wrong usage', async () => {
  await declare(`rooms: tenantTable('rooms', { name: text('name') })`)
  expect(await freehold('schema', 'generate')).toMatchObject({ code: 2 })
  expect(await freehold('schema', 'generate', '--name', '../x')).toMatchObject({
    code: 2,
    err: expect.stringMatching(/^A migration cannot be named "\.\.\/x"/),
  })
})
