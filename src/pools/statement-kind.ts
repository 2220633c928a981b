const READ = /^[\s(]*(?:select|with|values|table)\b/i
const WRITING_WORD =
  /\b(?:insert|update|delete|merge|for\s+(?:no\s+key\s+)?(?:update|share)|for\s+key\s+share)\b/i
const TRANSACTION_WORD =
  /^\s*(?:begin|start|commit|end|rollback|abort|savepoint|release|prepare\s+transaction)\b/i

export type StatementKind = 'read' | 'write' | 'transaction'
const kinds = new Map<string, StatementKind>()
const MAX_KINDS = 2_000

/** Reads run in read-only transactions, so a wrong guess here fails loudly (25006) and changes nothing. */
export function kindOf(text: string): StatementKind {
  const known = kinds.get(text)
  if (known !== undefined) return known
  const reads = READ.test(text) && !WRITING_WORD.test(text)
  const kind = TRANSACTION_WORD.test(text) ? 'transaction' : reads ? 'read' : 'write'
  if (kinds.size < MAX_KINDS) kinds.set(text, kind)
  return kind
}
