import { isIP, type LookupFunction, Socket } from 'node:net'

export function checkedStream(lookup: LookupFunction | null): { stream?: () => Socket } {
  return lookup === null ? {} : { stream: () => checkedSocket(lookup) }
}

/** A socket that connects only to addresses that `lookup` returns. pg calls `connect(port, host)` on it. */
function checkedSocket(lookup: LookupFunction): Socket {
  const socket = new Socket()
  const connect = socket.connect.bind(socket) as (options: object) => Socket
  const connectChecked = (port: number, host: string): Socket => {
    if (isIP(host) === 0) return connect({ port, host, lookup })
    // net does not call `lookup` for a literal address, but the policy must check that too.
    lookup(host, {}, (error, address) => {
      if (error !== null) socket.destroy(error)
      else if (!socket.destroyed) connect({ port, host: address })
    })
    return socket
  }
  return Object.assign(socket, { connect: connectChecked })
}
