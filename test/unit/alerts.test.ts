import { readdirSync, readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { parse } from 'yaml'
import { Metrics } from '../../src/metrics.ts'

const root = new URL('../../', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, root), 'utf8')

interface Rule {
  alert: string
  expr: string
  annotations: { runbook: string }
}

const { groups } = parse(read('deploy/prometheus/alerts.yml')) as { groups: { rules: Rule[] }[] }
const rules = groups.flatMap((group) => group.rules)

it('gives each alert a runbook of its name, and each runbook an alert', () => {
  const pages = readdirSync(new URL('docs/runbooks/', root)).map((name) => `docs/runbooks/${name}`)
  expect(rules.map((rule) => rule.annotations.runbook).sort()).toEqual(pages.sort())
  for (const rule of rules) expect(rule.annotations.runbook).toBe(`docs/runbooks/${rule.alert}.md`)
})

it('asks only for metrics that are documented', () => {
  const documented = new Set(read('docs/reference/metrics.md').match(/\bfreehold_[a-z_]+/g))
  const asked = rules.flatMap((rule) => rule.expr.match(/\bfreehold_[a-z_]+/g) ?? [])
  expect(asked.length).toBeGreaterThan(0)
  expect(asked.filter((name) => !documented.has(name.replace(/_count$/, '')))).toEqual([])
})

it('has counters that begin at zero for the alerts about an increase, so that the first event counts', async () => {
  const { text } = await new Metrics().render()
  const counters = rules.flatMap(({ expr }) => [...expr.matchAll(/increase\((\w+)/g)].map(([, name]) => name))
  expect(counters.length).toBeGreaterThan(0)
  for (const name of counters) expect(text).toMatch(new RegExp(`^${name}(\\{.*\\})? 0$`, 'm'))
})
