#!/usr/bin/env node
/**
 * The command `freehold`. Plain JavaScript that also an old Node can read, so that its age is told in words. A package
 * holds the compiled program; a checkout runs its sources.
 */
import { existsSync } from 'node:fs'

const OLDEST_NODE = [22, 18]
const EX_CONFIG = 78

const [major, minor] = process.versions.node.split('.').map(Number)
const source = new URL('../src/cli/main.ts', import.meta.url)

if (major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1])) {
  const needed = OLDEST_NODE.join('.')
  process.stderr.write(
    `Freehold needs Node ${needed} or newer; this is ${process.version}. Install a newer Node.\n`,
  )
  process.exitCode = EX_CONFIG
} else {
  await import(existsSync(source) ? source.href : new URL('../dist/cli/main.js', import.meta.url).href)
}
