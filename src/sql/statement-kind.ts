const READ = /^\(*(?:select|with|values|table)\b/i
const WRITING_WORD =
  /\b(?:insert|update|delete|merge|for\s+(?:no\s+key\s+)?(?:update|share)|for\s+key\s+share)\b/i
const TRANSACTION_WORD =
  /^(?:begin|start|commit|end|rollback|abort|savepoint|release|prepare\s+transaction|commit\s+prepared)\b/i
const COPY_WORD = /^copy\b/i

export type StatementKind = 'read' | 'write' | 'transaction' | 'copy'
const kinds = new Map<string, StatementKind>()
const MAX_KINDS = 2_000

/** Reads run in read-only transactions. So a write that is taken for a read fails (25006) and changes nothing. */
function kindOf(text: string): StatementKind {
  const known = kinds.get(text)
  if (known !== undefined) return known
  const kind = kindIn(text.slice(beginningOf(text)))
  if (kinds.size < MAX_KINDS) kinds.set(text, kind)
  return kind
}

function kindIn(statement: string): StatementKind {
  if (TRANSACTION_WORD.test(statement)) return 'transaction'
  if (COPY_WORD.test(statement)) return 'copy'
  // Comments between brackets are not skipped: then a read counts as a write, which only costs more.
  return READ.test(statement.replaceAll(/^[\s(]+/g, '')) && !WRITING_WORD.test(statement) ? 'read' : 'write'
}

/** The position of the first word. PostgreSQL skips blanks, empty statements and comments before it; comments nest. */
function beginningOf(text: string): number {
  let at = 0
  for (;;) {
    const start = at
    while (/[\s;]/.test(text.charAt(at))) at += 1
    if (text.startsWith('--', at)) at = endOfLine(text, at)
    else if (text.startsWith('/*', at)) at = endOfComment(text, at)
    if (at === start) return at
  }
}

function endOfLine(text: string, from: number): number {
  const at = text.slice(from).search(/[\n\r]/)
  return at === -1 ? text.length : from + at
}

function endOfComment(text: string, from: number): number {
  const marks = /\/\*|\*\//g
  marks.lastIndex = from
  for (let depth = 0, mark = marks.exec(text); mark !== null; mark = marks.exec(text)) {
    depth += mark[0] === '/*' ? 1 : -1
    if (depth === 0) return marks.lastIndex
  }
  return text.length
}

/**
 * The kind of a statement that a session runs.
 * @throws Error for a statement that begins or ends a transaction, and for COPY, which would wait for rows that never come
 */
export function servedKindOf(text: string): StatementKind {
  const kind = kindOf(text)
  if (kind === 'transaction')
    throw new Error('a session runs no BEGIN, COMMIT or ROLLBACK: use session.transaction()')
  if (kind === 'copy') throw new Error('a session runs no COPY: use INSERT and SELECT')
  return kind
}
