/**
 * Host names and address literals, read in one strict way. Resolvers read `0x7f000001`, `127.1` and `2130706433`
 * as addresses. We accept only four decimal parts and plain IPv6, so that we connect to the address that was checked.
 */
import { isIPv4, isIPv6 } from 'node:net'
import ipaddr from 'ipaddr.js'

export type IpAddress = ipaddr.IPv4 | ipaddr.IPv6

const LABEL = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/
const NUMBER = /^(?:[0-9]+|0x[0-9a-f]*)$/

/** Reads dotted IPv4 or IPv6 without brackets and zone. Anything else is null, never another address. */
export function parseAddress(text: string): IpAddress | null {
  // Node's checks come first: ipaddr.js alone would accept octal, hexadecimal and shortened spellings.
  if (isIPv4(text)) return ipaddr.IPv4.parse(text)
  if (isIPv6(text) && !text.includes('%')) return ipaddr.IPv6.parse(withoutDots(text))
  return null
}

/** Writes the dotted end of an IPv6 address in hexadecimal: ipaddr.js reads ::1.2.3.4 as ::ffff:1.2.3.4. */
function withoutDots(text: string): string {
  return text.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...octets: string[]) => {
    const [a = 0, b = 0, c = 0, d = 0] = octets.slice(0, 4).map(Number)
    return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
  })
}

/** The one spelling of an address: IPv6 compressed and in lower case (RFC 5952). */
export function formatAddress(address: IpAddress): string {
  return address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString()
}

/** True if `host` (without brackets) is an address and not a name. */
export function isIpLiteral(host: string): boolean {
  return parseAddress(host) !== null
}

/** True if a resolver may read `host` as a number: its last label is one (the URL standard's rule). */
export function endsInNumber(host: string): boolean {
  return NUMBER.test(host.slice(host.lastIndexOf('.') + 1))
}

/** Lower-case letters, digits, hyphens, underscores in labels of 1–63, at most 253, no final dot, no number. */
export function isHostName(host: string): boolean {
  return host.length <= 253 && !endsInNumber(host) && host.split('.').every((label) => LABEL.test(label))
}

/** `::ffff:a.b.c.d` reaches exactly a.b.c.d, so it is converted to that address. All others are unchanged. */
export function unmapAddress(address: IpAddress): IpAddress {
  return address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress() ? address.toIPv4Address() : address
}

/** The IPv4 address that NAT64 (`64:ff9b::/96`) stands in for, or null. */
export function translatedAddress(address: IpAddress): ipaddr.IPv4 | null {
  const [a, b, c, d, e, f, g, h] = partsOf(address)
  return a === 0x64 && b === 0xff9b && !c && !d && !e && !f ? ipv4(g, h) : null
}

/** Every IPv4 address that traffic to this IPv6 address may end at: translators and tunnels carry the IPv4 address inside. */
export function carriedAddresses(address: IpAddress): ipaddr.IPv4[] {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = partsOf(address)
  const translated = translatedAddress(address)
  if (translated !== null) return [translated]
  // 6to4 holds the address of its router. Teredo holds that of its server and, with inverted bits, that of its client.
  if (a === 0x2002) return [ipv4(b, c)]
  if (a === 0x2001 && b === 0) return [ipv4(c, d), ipv4(g ^ 0xffff, h ^ 0xffff)]
  // IPv4-compatible (::a.b.c.d, but not :: and ::1), mapped, SIIT (::ffff:0:a.b.c.d), ISATAP (…:0:5efe:a.b.c.d).
  const leading = a || b || c || d
  const compatible = !leading && !e && !f && (g > 0 || h > 1)
  const mapped = !leading && ((e === 0 && f === 0xffff) || (e === 0xffff && f === 0))
  const isatap = (e === 0 || e === 0x200) && f === 0x5efe
  return compatible || mapped || isatap ? [ipv4(g, h)] : []
}

function partsOf(address: IpAddress): number[] {
  return address instanceof ipaddr.IPv6 ? address.parts : []
}

function ipv4(high = 0, low = 0): ipaddr.IPv4 {
  return new ipaddr.IPv4([high >> 8, high & 0xff, low >> 8, low & 0xff])
}

/** True if `host` is this machine: a loopback address, or `localhost` (RFC 6761, section 6.3). */
export function isLoopback(host: string): boolean {
  const address = parseAddress(host)
  return host === 'localhost' || (address !== null && unmapAddress(address).range() === 'loopback')
}
