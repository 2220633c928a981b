import { isDeepStrictEqual } from 'node:util'
import { statementName } from '../../pools/wire/tenant-unit.ts'
import { bindHead, prepareMessages } from './frontend-messages.ts'

/** A column of an answer, as the declared resource expects it. */
export interface DeclaredColumn {
  readonly name: string
  /** The type's name in SQL, as drizzle writes it: `timestamp with time zone`, `varchar(80)`. */
  readonly type: string
}

/** What a declared resource expects of a statement. */
export interface Declared {
  readonly columns: readonly DeclaredColumn[]
  /** The types of its parameters. Null for a parameter whose type PostgreSQL chooses. */
  readonly parameters: readonly (string | null)[]
}

/** By text, because the text decides the name: two of one name would prepare each other's statement anew. */
const statements = new Map<string, WireStatement>()

/**
 * A statement of a declared resource, with the bytes of its messages that never change. A server that describes other columns
 * or parameters than the declared ones is not believed, and the statement runs by pg there.
 */
export class WireStatement {
  readonly text: string
  readonly declared: Declared
  /** Close, Parse and Describe. */
  readonly prepareBytes: Buffer
  /** The beginning of Bind behind its length. */
  readonly bindBytes: Buffer

  private constructor(text: string, name: string, declared: Declared) {
    this.text = text
    this.declared = declared
    this.prepareBytes = prepareMessages(name, text)
    this.bindBytes = bindHead(name)
  }

  /** Null if the process has no name left for the statement, or has declared it otherwise before. It then runs by pg. */
  static for(text: string, declared: Declared): WireStatement | null {
    const known = statements.get(text)
    if (known !== undefined) return isDeepStrictEqual(known.declared, declared) ? known : null
    const name = statementName(text)
    if (name === '') return null
    const statement = new WireStatement(text, name, declared)
    statements.set(text, statement)
    return statement
  }
}
