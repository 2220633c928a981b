import { join } from 'node:path'
import pg from 'pg'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { failureOf, reportFailure } from '../../../src/cli/failures.ts'

const CONTROLS = /[\p{Cc}\p{Cf}]/u

function system(code: string, message: string): Error {
  return Object.assign(new Error(`${code}: ${message}`), { code, syscall: 'mkdir' })
}
function at(file: string, error: Error): Error {
  error.stack = `${error.name}: ${error.message}\n    at seed (file://${join(process.cwd(), file)}:12:3)`
  return error
}

describe('an error that no command expects is one line that tells what to do', () => {
  test.each([
    [system('EACCES', "permission denied, mkdir '/root/x'"), /mkdir '\/root\/x'\. Give this account/],
    [system('ENOSPC', 'no space left on device, write'), /The disk is full/],
    [system('EXYZ', 'strange'), /strange\. Run it again with LOG_LEVEL=debug/],
    [
      new TypeError('x is not a function\n  at all'),
      /^TypeError in freehold.*: x is not a function\. Run it/,
    ],
    [at('app.ts', new Error('No rows.')), /^Error at app\.ts:12: No rows\. Run it again/],
    [new Error('a\u001b[2Jb\u202e'), /^Error in freehold/],
    ['words', /no error was thrown/],
  ])('%s', (error, told) => {
    const { lines, code, exitCode } = failureOf(error)
    expect({ code, exitCode }).toEqual({ code: 'INTERNAL_ERROR', exitCode: 1 })
    expect(lines).toEqual([expect.stringMatching(told)])
    expect(lines[0]).not.toMatch(CONTROLS)
  })

  test('and repeats no words of a database', () => {
    const words = 'Key (email)=(ada@acme.example) already exists.'
    const cause = Object.assign(new pg.DatabaseError(words, 1, 'error'), { code: '23505', severity: 'ERROR' })
    const error = new Error('Failed query: insert … params: ada@acme.example', { cause })
    expect(failureOf(error).lines).toEqual([expect.stringMatching(/\(23505\)/)])
    expect(failureOf(error).lines[0]).not.toContain('ada')
  })
})

describe('the stack is shown', () => {
  const written: string[] = []
  beforeEach(() => {
    vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => {
      written.push(String(chunk))
      return true
    })
  })
  afterEach(() => {
    vi.restoreAllMocks()
    vi.unstubAllEnvs()
    written.length = 0
  })

  test.each([
    ['info', false, false],
    ['debug', false, true],
    ['debug', true, false],
  ])('with LOG_LEVEL=%s and --json %s: %s', (level, json, isShown) => {
    vi.stubEnv('LOG_LEVEL', level)
    expect(reportFailure(new TypeError('x'), { json })).toBe(1)
    expect(/\n +at /.test(written.join(''))).toBe(isShown)
  })
})
