import { once } from 'node:events'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'

export type Json = Readonly<Record<string, unknown>>
type Header = { readonly crit?: string[]; readonly [name: string]: unknown }
type Answer = (response: ServerResponse) => void

/** A minimal identity provider: it publishes keys on a loopback port, or misbehaves on request. */
export class KeyServer {
  readonly #server: Server
  readonly #signers = new Map<string, { alg: string; key: CryptoKey }>()
  keys: JWK[] = []
  /** The requested paths. */
  readonly requests: string[] = []
  answer: Answer = (response) => response.end(JSON.stringify({ keys: this.keys }))

  private constructor(server: Server) {
    this.#server = server
    server.on('request', (request, response) => {
      this.requests.push(request.url ?? '')
      this.answer(response)
    })
  }

  static async start(): Promise<KeyServer> {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new KeyServer(server)
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  get jwksUri(): string {
    return `${this.url}/jwks`
  }

  /** Publishes one more key. */
  async addKey(kid: string, alg = 'ES256', more: Json = {}): Promise<void> {
    const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true })
    this.#signers.set(kid, { alg, key: privateKey })
    this.keys.push({ ...(await exportJWK(publicKey)), kid, alg, use: 'sig', ...more })
  }

  /** A token with exactly these claims. */
  sign(claims: object, { kid, header = {} }: { kid: string; header?: Header }): Promise<string> {
    const signer = this.#signers.get(kid)
    if (signer === undefined) throw new Error(`there is no key ${kid}`)
    const signing = new SignJWT({ ...claims }).setProtectedHeader({
      alg: signer.alg,
      kid,
      typ: 'JWT',
      ...header,
    })
    const crit = Object.fromEntries((header.crit ?? []).map((name) => [name, true]))
    return signing.sign(signer.key, { crit })
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }
}
