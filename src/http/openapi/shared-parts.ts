import type { Document, Operation, Parameter } from './document-parts.ts'

const SHARED_FROM_USES = 2

/** Moves each parameter that several operations have to the components. */
export function shareParameters(document: Document): void {
  const operations = operationsOf(document)
  const uses = Map.groupBy(
    operations.flatMap(({ parameters = [] }) => parameters.filter(({ $ref }) => $ref === undefined)),
    (parameter) => JSON.stringify(parameter),
  )
  const shared: Record<string, unknown> = document.components?.parameters ?? {}
  const refs = new Map<string, Parameter>()
  for (const [text, same] of uses) {
    const [parameter] = same
    if (parameter === undefined || same.length < SHARED_FROM_USES) continue
    const name = freeName(String(parameter.name), shared)
    shared[name] = parameter
    refs.set(text, { $ref: `#/components/parameters/${name}` })
  }
  for (const operation of operations)
    if (operation.parameters !== undefined)
      operation.parameters = operation.parameters.map((part) => refs.get(JSON.stringify(part)) ?? part)
  document.components = { ...document.components, parameters: shared }
}

function freeName(wanted: string, taken: object): string {
  let name = wanted
  for (let number = 2; name in taken; number += 1) name = `${wanted}.${number}`
  return name
}

const DROPPED_WHERE_UNUSED = ['responses', 'parameters', 'headers', 'examples'] as const

function operationsOf({ paths = {} }: Document): Operation[] {
  return Object.values(paths).flatMap((methods) => Object.values(methods))
}

/** Removes the components that no part of the document refers to. No application uses all of them. */
export function dropUnused(document: Document): void {
  const text = JSON.stringify(document)
  for (const kind of DROPPED_WHERE_UNUSED) {
    const parts = document.components?.[kind] ?? {}
    for (const name of Object.keys(parts))
      if (!text.includes(`"#/components/${kind}/${name}"`)) delete parts[name]
  }
}
