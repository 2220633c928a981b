import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { migrationsFolder, nameOf, parseMigration, readMigrations } from '../../../src/migrations/files.ts'

describe('a migrations folder', () => {
  test('is refused if it is missing or has no migrations', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'migrations-'))
    const missing = expect.objectContaining({ code: 'MIGRATIONS_MISSING' })
    await writeFile(join(folder, 'README.md'), 'not SQL')
    await expect(readMigrations(folder, 'core')).rejects.toThrow(missing)
    await rm(folder, { recursive: true })
    await expect(readMigrations(folder, 'core')).rejects.toThrow(missing)
  })

  test.each(['catalog', 'core'] as const)('of the %s schema is found and read in order', async (schema) => {
    const migrations = await readMigrations(migrationsFolder(schema), schema)
    const ids = migrations.map((migration) => migration.id)
    expect(ids.length).toBeGreaterThan(1)
    expect(ids).toEqual([...ids].sort())
    expect(ids[0]).toBe(`0000_${schema}`)
  })

  test('is read in the order of names, and other files are ignored', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'migrations-'))
    try {
      await writeFile(join(folder, '0010_c.sql'), 'SELECT 3')
      await writeFile(join(folder, '0002_b.sql'), 'SELECT 2')
      await writeFile(join(folder, 'README.md'), 'not SQL')
      expect((await readMigrations(folder, 'core')).map(({ id }) => id)).toEqual(['0002_b', '0010_c'])
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})

describe('a migration file', () => {
  test('may be in a folder of its own, as newer releases of drizzle-kit write it', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'migrations-'))
    try {
      await mkdir(join(folder, '20260102_b'))
      await writeFile(join(folder, '20260102_b', 'migration.sql'), 'SELECT 2')
      await writeFile(join(folder, '20260102_b', 'snapshot.json'), '{}')
      await mkdir(join(folder, 'meta'))
      await writeFile(join(folder, '0000_a.sql'), 'SELECT 1')
      expect((await readMigrations(folder, 'application')).map(nameOf)).toEqual([
        'application/0000_a',
        'application/20260102_b',
      ])
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  test('is split at the breakpoints of drizzle-kit, after a semicolon or on a line of their own', () => {
    const { statements } = parseMigration(
      'core',
      '0000_a.sql',
      'CREATE TABLE a ();--> statement-breakpoint\nCREATE TABLE b ();\n--> statement-breakpoint\n-- only words\n',
    )
    expect(statements).toEqual(['CREATE TABLE a ();', 'CREATE TABLE b ();'])
  })

  test('keeps its hash if line endings change, and gets another one if a character changes', () => {
    const unix = parseMigration('core', '0000_a.sql', 'SELECT 1;\nSELECT 2;\n')
    expect(unix.hash).toMatch(/^[0-9a-f]{64}$/)
    expect(parseMigration('core', '0000_a.sql', 'SELECT 1;\r\nSELECT 2;\r\n').hash).toBe(unix.hash)
    expect(parseMigration('core', '0000_a.sql', 'SELECT 1;\nSELECT 3;\n').hash).not.toBe(unix.hash)
  })

  test('runs in a transaction unless a directive says otherwise', () => {
    expect(parseMigration('core', '0000_a.sql', 'SELECT 1').transactional).toBe(true)
    expect(parseMigration('core', '0000_a.sql', '-- freehold: no-transaction\nSELECT 1').transactional).toBe(
      false,
    )
  })

  test('with a misspelt directive is refused', () => {
    expect(() => parseMigration('core', '0000_a.sql', '-- freehold: no-transactoin\nSELECT 1')).toThrow(
      expect.objectContaining({ code: 'MIGRATION_MALFORMED', message: expect.stringMatching(/directive/) }),
    )
  })

  test('without SQL is refused', () => {
    expect(() =>
      parseMigration('core', '0000_a.sql', '-- Custom SQL migration file, put your code below! --'),
    ).toThrow(
      expect.objectContaining({
        code: 'MIGRATION_MALFORMED',
        message: expect.stringMatching(/no statements/),
      }),
    )
  })
})
