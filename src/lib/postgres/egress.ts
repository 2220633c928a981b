/**
 * Decides at which hosts an operator may register databases. A name is resolved once, and every address found is checked. The
 * caller connects to the returned address, because a second lookup could give another answer (DNS rebinding).
 */
import { lookup as lookupInSystem } from 'node:dns/promises'
import ipaddr from 'ipaddr.js'
import {
  carriedAddresses,
  formatAddress,
  type IpAddress,
  isHostName,
  parseAddress,
  translatedAddress,
  unmapAddress,
} from './addresses.ts'

interface Network {
  address: IpAddress
  prefixBits: number
}

/** An entry of DATABASE_HOSTS_ALLOWED. A port of null is any port. */
export interface HostRules {
  /** A host beginning with a dot is a suffix: it covers subdomains, but not the domain itself. */
  readonly names: readonly { host: string; port: number | null }[]
  readonly networks: readonly { network: Network; port: number | null }[]
}

/** Says which entries of DATABASE_HOSTS_ALLOWED cannot be read. */
export class HostRuleError extends Error {
  readonly entries: readonly string[]

  constructor(entries: readonly string[]) {
    super(`not a host, suffix, address or CIDR with an optional port: ${entries.map(quote).join(', ')}`)
    this.name = 'HostRuleError'
    this.entries = entries
  }
}

/** Reads DATABASE_HOSTS_ALLOWED. Throws HostRuleError naming every entry that is wrong. */
export function parseHostRules(text: string): HostRules {
  const names: HostRules['names'][number][] = []
  const networks: HostRules['networks'][number][] = []
  const wrong: string[] = []
  for (const entry of text.split(',').map((item) => item.trim().toLowerCase())) {
    const { host, port } = splitEntry(entry)
    const network = parseNetwork(host)
    if (Number.isNaN(port)) wrong.push(entry)
    else if (network !== null) networks.push({ network, port })
    else if (isHostName(host.replace(/^\./, ''))) names.push({ host, port })
    else wrong.push(entry)
  }
  if (wrong.length > 0) throw new HostRuleError(wrong)
  return { names, networks }
}

/** An unreadable port is NaN. IPv6 needs brackets for a port, so two colons without them are part of the host. */
function splitEntry(entry: string): { host: string; port: number | null } {
  const bracketed = /^\[([^\]]*:[^\]]*)\](?::(.*))?$/.exec(entry)
  const plain = /^([^:[\]]*)(?::([^:]*))?$/.exec(entry)
  const [, host = entry, port] = bracketed ?? plain ?? []
  if (port === undefined) return { host, port: null }
  return { host, port: /^[1-9][0-9]{0,4}$/.test(port) && Number(port) <= 65535 ? Number(port) : Number.NaN }
}

function parseNetwork(text: string): Network | null {
  const [, base = '', bits] = /^([^/]*)(?:\/(0|[1-9][0-9]{0,2}))?$/.exec(text) ?? []
  const written = parseAddress(base)
  if (written === null) return null
  const width = widthOf(written)
  const prefixBits = bits === undefined ? width : Number(bits)
  if (prefixBits > width) return null
  const address = unmapAddress(written)
  // Addresses are unmapped before they are compared, so a rule about mapped ones must be as well.
  if (address === written || prefixBits < 96) return { address: written, prefixBits }
  return { address, prefixBits: prefixBits - 96 }
}

/**
 * forbidden: never reached, listed or not. loopback: reached only if listed as such. special: not ordinary unicast
 * (tunnels, protocol assignments, class E), reached only when listed by address. ordinary: public and private.
 */
type AddressKind = 'forbidden' | 'loopback' | 'special' | 'ordinary'

const LOOPBACK = networks('127.0.0.0/8', '::1')
const FORBIDDEN = networks(
  ...['0.0.0.0/8', '::', '169.254.0.0/16', 'fe80::/10', '224.0.0.0/4', 'ff00::/8', '255.255.255.255'],
  // Cloud metadata outside link-local: Alibaba, Azure, Oracle (twice), AWS, Google, Scaleway.
  ...['100.100.100.200', '168.63.129.16', '192.0.0.192', 'fd00:c1::a9fe:a9fe'],
  ...['fd00:ec2::/32', 'fd20:ce::254', 'fd00:42::42'],
  // Locally chosen NAT64 (RFC 8215): only the translator knows which bits hold the IPv4 address.
  '64:ff9b:1::/48',
)
const SPECIAL = networks('192.0.0.0/24', '192.88.99.0/24', '240.0.0.0/4', '2001::/23', '2002::/16')
const UNICAST = networks('0.0.0.0/0', '2000::/3', 'fc00::/7', '64:ff9b::/96')

function kindOf(address: IpAddress): AddressKind {
  const own = ownKindOf(address)
  const carried = carriedAddresses(address).map(ownKindOf)
  // A translator's loopback is not ours, so a rule about 127.0.0.1 does not cover it.
  if (carried.some((kind) => kind === 'forbidden' || kind === 'loopback')) return 'forbidden'
  return own === 'ordinary' && carried.includes('special') ? 'special' : own
}

function ownKindOf(address: IpAddress): AddressKind {
  const isIn = (list: Network[]) => list.some((network) => covers(network, address))
  if (isIn(FORBIDDEN)) return 'forbidden'
  if (isIn(LOOPBACK)) return 'loopback'
  return isIn(SPECIAL) || !isIn(UNICAST) ? 'special' : 'ordinary'
}

/** Checks addresses and names against the rules. Without rules, every ordinary unicast address is allowed. */
export class EgressPolicy {
  readonly #rules: HostRules | null

  constructor(rules: HostRules | null) {
    this.#rules = rules
  }

  /** The verdict without a DNS lookup. `host` as parseConnectionString gives it; 'name' needs resolving. */
  checkLiteral(host: string, port: number): 'allowed' | 'refused' | 'name' {
    const address = parseAddress(host)
    if (address !== null) return this.#allows(unmapAddress(address), port, false) ? 'allowed' : 'refused'
    // Spellings that only a resolver reads as a number (0x7f000001, 127.1) are neither address nor name.
    return isHostName(host.toLowerCase()) ? 'name' : 'refused'
  }

  /** The addresses of `name` that are allowed, in their order and canonical spelling (mapped ones as IPv4). */
  checkResolved(name: string, addresses: readonly string[], port: number): string[] {
    const named = this.#lists(name.toLowerCase(), port)
    return addresses
      .map(parseAddress)
      .filter((address) => address !== null)
      .map(unmapAddress)
      .filter((address) => this.#allows(address, port, named))
      .map(formatAddress)
  }

  #lists(name: string, port: number): boolean {
    const names = this.#rules?.names ?? []
    return names.some((rule) => portMatches(rule.port, port) && nameMatches(rule.host, name))
  }

  #allows(address: IpAddress, port: number, named: boolean): boolean {
    const kind = kindOf(address)
    if (kind === 'forbidden') return false
    if (kind === 'ordinary' && (named || this.#rules === null)) return true
    const translated = translatedAddress(address)
    return (this.#rules?.networks ?? []).some(
      (rule) =>
        portMatches(rule.port, port) &&
        (kind !== 'loopback' || isLoopbackOnly(rule.network)) &&
        (covers(rule.network, address) || (translated !== null && covers(rule.network, translated))),
    )
  }
}

/** A rule of 0.0.0.0/0 means all other machines, not this one. */
function isLoopbackOnly(network: Network): boolean {
  return LOOPBACK.some((loop) => covers(loop, network.address) && network.prefixBits >= loop.prefixBits)
}

export type EgressErrorCode = 'DNS_FAILED' | 'HOST_NOT_ALLOWED' | 'CONNECTION_TIMEOUT'

const EGRESS_TEXTS: Record<EgressErrorCode, string> = {
  DNS_FAILED: 'the host name could not be resolved',
  HOST_NOT_ALLOWED: 'the host is not among the allowed ones',
  CONNECTION_TIMEOUT: 'resolving the host name took too long',
}

/** Why a target has no allowed address. The message names no host. */
export class EgressError extends Error {
  readonly code: EgressErrorCode

  constructor(code: EgressErrorCode) {
    super(EGRESS_TEXTS[code])
    this.name = 'EgressError'
    this.code = code
  }
}

export type Lookup = (
  name: string,
  options: { all: true; order: 'verbatim' },
) => Promise<readonly { address: string }[]>

export interface ResolveOptions {
  /** Replaces the system's resolver. */
  lookup?: Lookup
  timeoutMs: number
}

export interface PinnedAddress {
  address: string
  family: 4 | 6
}

/**
 * Finds the address to connect to for a target. The name is then used for TLS only.
 * Throws EgressError. Skips refused addresses if there is an allowed one.
 */
export async function resolveTarget(
  target: { host: string; port: number },
  policy: EgressPolicy,
  options: ResolveOptions,
): Promise<PinnedAddress> {
  const { host, port } = target
  const verdict = policy.checkLiteral(host, port)
  if (verdict === 'refused') throw new EgressError('HOST_NOT_ALLOWED')
  if (verdict === 'allowed') return pin(canonical(host))
  const [address] = policy.checkResolved(host, await findAddresses(host, options), port)
  if (address === undefined) throw new EgressError('HOST_NOT_ALLOWED')
  return pin(address)
}

function pin(address: string): PinnedAddress {
  return { address, family: address.includes(':') ? 6 : 4 }
}

async function findAddresses(name: string, { lookup = lookupInSystem, timeoutMs }: ResolveOptions) {
  const timeout = Promise.withResolvers<never>()
  // getaddrinfo cannot be cancelled: after the deadline it still runs, and its late answer or error is dropped.
  const timer = setTimeout(() => timeout.reject(new EgressError('CONNECTION_TIMEOUT')), timeoutMs)
  try {
    const found = await Promise.race([lookup(name, { all: true, order: 'verbatim' }), timeout.promise])
    if (found.length === 0) throw new EgressError('DNS_FAILED')
    return found.map((entry) => entry.address)
  } catch (error) {
    throw error instanceof EgressError ? error : new EgressError('DNS_FAILED')
  } finally {
    clearTimeout(timer)
  }
}

function canonical(literal: string): string {
  const address = parseAddress(literal)
  return address === null ? literal : formatAddress(unmapAddress(address))
}

function nameMatches(rule: string, name: string): boolean {
  return rule.startsWith('.') ? name.endsWith(rule) && name.length > rule.length : name === rule
}

function portMatches(rule: number | null, port: number): boolean {
  return rule === null || rule === port
}

function covers(network: Network, address: IpAddress): boolean {
  return network.address.kind() === address.kind() && address.match(network.address, network.prefixBits)
}

function widthOf(address: IpAddress): number {
  return address instanceof ipaddr.IPv4 ? 32 : 128
}

function networks(...texts: string[]): Network[] {
  return texts.map((text) => {
    const network = parseNetwork(text)
    // A forbidden network that is misspelt must not become an allowed one.
    if (network === null) throw new TypeError(`not a network: ${text}`)
    return network
  })
}

function quote(entry: string): string {
  return JSON.stringify(entry)
}
