import type { Attack } from './attack-list.ts'

/** The tables and tenants of an attack. */
export interface Target {
  /** The qualified name of a table with `tenant_id`, `id`, `name` and `description`, in which both tenants have rows. */
  readonly table: string
  /** The qualified name of the table of residences, or of a copy. */
  readonly residence: string
  readonly own: string
  readonly other: string
}

/** How the attacking tenant runs SQL, and how the test sees the other tenant's rows. */
export interface AttackAccess {
  /** Runs one statement as a request of the tenant does. Rejects if the statement fails. */
  readonly single: (sql: string) => Promise<unknown>
  /** Runs statements in one transaction of a request, and returns each result. */
  readonly transaction: (statements: readonly string[]) => Promise<unknown>
  /** Returns the other tenant's rows and residence, as text. */
  readonly look: () => Promise<string>
  /** Texts that only the other tenant knows: a name in its rows, and its seal. */
  readonly secrets: readonly string[]
}

/** How an attack succeeded. Null if it failed. */
export type Outcome = 'learnt' | 'changed' | 'left' | null

/** How many causes of an error are read, and which of their fields. */
const MAX_CAUSES = 6
const ERROR_FIELDS = [
  'message',
  'detail',
  'hint',
  'where',
  'constraint',
  'column',
  'dataType',
  'table',
] as const

/** The statements of an attack on a target. */
function statementsOf({ sql }: Attack, target: Target): readonly string[] {
  return [sql].flat().map((text) => fill(text, target))
}

function fill(text: string, target: Target): string {
  return text.replaceAll(/\{(table|residence|own|other)\}/g, (_, name: keyof Target) => target[name])
}

/**
 * Runs an attack and checks whether it succeeded: a result or an error shows something that only the other tenant knows, the other
 * tenant's rows changed, or the next request on the connection is affected.
 */
export async function attack(attack: Attack, target: Target, access: AttackAccess): Promise<Outcome> {
  const statements = statementsOf(attack, target)
  const findTraces = async () =>
    attack.felt === undefined ? '' : textOf(await access.single(fill(attack.felt, target)))
  const [before, traces] = [await access.look(), await findTraces()]
  const isSingle = typeof attack.sql === 'string'
  const answer = await (isSingle ? access.single(statements[0] ?? '') : access.transaction(statements)).catch(
    (error: unknown) => error,
  )
  const shown = textOf(answer)
  if (access.secrets.some((secret) => shown.includes(secret))) return 'learnt'
  if ((await access.look()) !== before) return 'changed'
  return (await findTraces()) === traces ? null : 'left'
}

/** A JSON replacer that writes bytes as PostgreSQL does. */
function bytesAsHex(_name: string, value: unknown): unknown {
  const { type, data } = (value ?? {}) as { type?: unknown; data?: unknown }
  return type === 'Buffer' && Array.isArray(data) ? Buffer.from(data).toString('hex') : value
}

/** All text in a result, or in an error and its causes. */
function textOf(answer: unknown): string {
  if (!(answer instanceof Error)) return JSON.stringify(answer, bytesAsHex) ?? ''
  const words: unknown[] = []
  for (
    let error: unknown = answer, n = 0;
    error instanceof Error && n < MAX_CAUSES;
    error = error.cause, n += 1
  ) {
    const fields = error as unknown as Record<string, unknown>
    words.push(...ERROR_FIELDS.map((field) => fields[field]))
  }
  return JSON.stringify(words)
}
