import { CommandError, EXIT } from '../exit-codes.ts'
import type { Method } from './command.ts'
import { plain } from './plain-text.ts'
import { refusalOf } from './refusals.ts'

export interface ApiRequest {
  readonly method: Method
  /** With the prefix and without the host. */
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  readonly body?: unknown
  /** A status that is an answer although it is an error: 503 of `/health`. */
  readonly alsoAnswers?: number
}

export interface ApiAnswer {
  readonly status: number
  /** Null if there is none. */
  // biome-ignore lint/suspicious/noExplicitAny: its shape is the operator API's
  readonly body: any
  /** `confirmed=1, replicas=2`: how many gateways apply the change. */
  readonly effective: string | null
}

const NOT_REACHED: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'Nothing listens there. Start the gateway',
  ENOTFOUND: 'The host is not known',
  EAI_AGAIN: 'The host cannot be looked up now',
  ECONNRESET: 'The connection was closed. Is it http or https',
  ETIMEDOUT: 'The host does not answer',
}

/** Calls one gateway as an operator. Follows no redirect, so that the token goes to no other host. */
export class ApiClient {
  readonly #base: string
  readonly #token: string | null
  readonly #timeoutMs: number

  constructor(base: string, { token, timeoutMs }: { token: string | null; timeoutMs: number }) {
    this.#base = base
    this.#token = token
    this.#timeoutMs = timeoutMs
  }

  /** @throws CommandError for every answer but a success */
  async call(request: ApiRequest): Promise<ApiAnswer> {
    const response = await this.#send(request)
    const { status, headers } = response
    if (status >= 300 && status < 400)
      throw this.#failure(
        'REDIRECTED',
        'redirects, and a token follows no redirect. Use the address that it names',
      )
    const text = await response.text().catch(() => {
      throw this.#failure('CONNECTION_LOST', 'closed the connection in the middle of its answer. Try again')
    })
    const body = this.#parsed(text, headers.get('content-type') ?? '')
    if (!response.ok && status !== request.alsoAnswers) throw refusalOf(status, body)
    return { status, body, effective: headers.get('freehold-effective') }
  }

  async #send({ method, path, query = {}, body }: ApiRequest): Promise<Response> {
    const search = new URLSearchParams(query).toString()
    const url = `${this.#base}${path}${search === '' ? '' : `?${search}`}`
    try {
      return await fetch(url, {
        method,
        headers: {
          accept: 'application/json',
          ...(this.#token !== null && { authorization: `Bearer ${this.#token}` }),
          ...(body !== undefined && { 'content-type': 'application/json' }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        redirect: 'manual',
        signal: AbortSignal.timeout(this.#timeoutMs),
      })
    } catch (error) {
      throw this.#unreachable(error)
    }
  }

  #parsed(text: string, contentType: string): unknown {
    if (text === '') return null
    try {
      if (contentType.includes('json')) return JSON.parse(text)
    } catch {
      // Reported below, like every other answer that is not JSON.
    }
    throw this.#failure(
      'NOT_A_GATEWAY',
      'answers, but not as a gateway does. Set FREEHOLD_URL or --url to a gateway',
    )
  }

  #unreachable(error: unknown): CommandError {
    if (error instanceof Error && error.name === 'TimeoutError')
      return this.#failure(
        'TIMEOUT',
        'has not answered in time. Check what was done, or wait longer with --timeout',
      )
    const cause = error instanceof Error ? (error.cause as NodeJS.ErrnoException | undefined) : undefined
    const code = cause?.code ?? 'UNKNOWN'
    const reason = NOT_REACHED[code] ?? 'The gateway cannot be called'
    return this.#failure(code, `is out of reach (${code}). ${reason}, or set FREEHOLD_URL or --url`)
  }

  #failure(code: string, problem: string): CommandError {
    return new CommandError(`${plain(this.#base)} ${problem}`, { code, exitCode: EXIT.failed })
  }
}
