import type { Attack } from './attack-list.ts'

/** What an attack is aimed at. */
export interface Target {
  /** A table with `tenant_id`, `id`, `name` and `description`, in which both tenants have rows; qualified. */
  readonly table: string
  /** Where residences are read, or a copy of them; qualified. */
  readonly residence: string
  readonly own: string
  readonly other: string
}

/** The way in of the tenant that attacks, and what an owner sees meanwhile. */
export interface Battlefield {
  /** Runs one statement as a request of the tenant does. Rejects as it does. */
  readonly single: (sql: string) => Promise<unknown>
  /** Runs statements in one transaction of a request, and gives what each has returned. */
  readonly transaction: (statements: readonly string[]) => Promise<unknown>
  /** What the other tenant has: its rows and its residence, as text. */
  readonly look: () => Promise<string>
  /** Texts that the other tenant alone knows: in a name of its rows, and its seal. */
  readonly secrets: readonly string[]
}

/** How an attack succeeded; null where it did not. */
export type Outcome = 'learnt' | 'changed' | 'left' | null

/** How far the causes of an error are followed, and which of their fields are read. */
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

/** The statements of an attack, aimed. */
export function aimed({ sql }: Attack, target: Target): readonly string[] {
  return [sql].flat().map((text) => aim(text, target))
}

function aim(text: string, target: Target): string {
  return text.replaceAll(/\{(table|residence|own|other)\}/g, (_, name: keyof Target) => target[name])
}

/**
 * Runs an attack and checks whether it succeeded: an answer or an error shows something that only the other tenant knows, the
 * other tenant's rows changed, or the next request on the connection is affected.
 */
export async function attack(attack: Attack, target: Target, field: Battlefield): Promise<Outcome> {
  const statements = aimed(attack, target)
  const feel = async () =>
    attack.felt === undefined ? '' : textOf(await field.single(aim(attack.felt, target)))
  const [before, felt] = [await field.look(), await feel()]
  const isSingle = typeof attack.sql === 'string'
  const answer = await (isSingle ? field.single(statements[0] ?? '') : field.transaction(statements)).catch(
    (error: unknown) => error,
  )
  const told = textOf(answer)
  if (field.secrets.some((secret) => told.includes(secret))) return 'learnt'
  if ((await field.look()) !== before) return 'changed'
  return (await feel()) === felt ? null : 'left'
}

/** As PostgreSQL prints bytes. */
function bytesAsHex(_name: string, value: unknown): unknown {
  const { type, data } = (value ?? {}) as { type?: unknown; data?: unknown }
  return type === 'Buffer' && Array.isArray(data) ? Buffer.from(data).toString('hex') : value
}

/** All that is told by an answer, or by an error and what caused it. */
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
