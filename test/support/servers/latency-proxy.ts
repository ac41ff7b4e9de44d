import type { AddressInfo } from 'node:net'
import { connect, createServer, type Server, type Socket } from 'node:net'

export interface LatencyProxy {
  readonly port: number
  /** Connections that were ever opened. */
  readonly connections: number
  stop(): Promise<void>
}

/**
 * A TCP proxy on a free port of 127.0.0.1 behind which a server is so many milliseconds away: what either side sends reaches the other half
 * of them later, and a connection is made one round trip later. The rate is not limited; at most `windowBytes` are on their way in each
 * direction of a connection, as on a real link.
 */
export async function startLatencyProxy(
  port: number,
  roundTripMs: number,
  windowBytes: number = 16 << 20,
): Promise<LatencyProxy> {
  const sockets = new Set<Socket>()
  let connections = 0
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    connections += 1
    sockets.add(client)
    client.on('error', () => client.destroy())
    client.pause()
    const begin = setTimeout(() => {
      const upstream = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
      sockets.add(upstream)
      upstream.on('error', () => client.resetAndDestroy())
      upstream.once('close', () => sockets.delete(upstream))
      client.once('close', () => upstream.destroy())
      carry(client, upstream, roundTripMs / 2, windowBytes)
      carry(upstream, client, roundTripMs / 2, windowBytes)
      client.resume()
    }, roundTripMs)
    client.once('close', () => {
      clearTimeout(begin)
      sockets.delete(client)
    })
  })
  await listen(server)
  return {
    port: (server.address() as AddressInfo).port,
    get connections() {
      return connections
    },
    stop: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function carry(from: Socket, to: Socket, delayMs: number, windowBytes: number): void {
  let onTheWay = 0
  const later = (act: () => void): void => {
    setTimeout(() => {
      if (!to.destroyed) act()
    }, delayMs)
  }
  from.on('data', (piece) => {
    onTheWay += piece.length
    if (onTheWay >= windowBytes) from.pause()
    later(() =>
      to.write(piece, () => {
        onTheWay -= piece.length
        if (from.isPaused() && onTheWay < windowBytes) from.resume()
      }),
    )
  })
  from.once('end', () => later(() => to.end()))
}

const listen = (server: Server): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
