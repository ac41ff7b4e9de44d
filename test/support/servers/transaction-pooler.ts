import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** The end of a message of PostgreSQL's protocol with a type, that begins at `at`; undefined when it is not whole. */
const endOf = (bytes: Buffer, at: number): number | undefined => {
  if (at + 5 > bytes.length) return undefined
  const end = at + 1 + bytes.readUInt32BE(at + 1)
  return end > bytes.length ? undefined : end
}

const message = (type: string, body: Buffer): Buffer => {
  const header = Buffer.alloc(5)
  header.write(type)
  header.writeUInt32BE(body.length + 4, 1)
  return Buffer.concat([header, body])
}

interface Backend {
  readonly socket: Socket
  client: Socket | undefined
}

/**
 * What a connection pooler does that lends sessions of a server by the transaction: a client has one from its first message until the
 * server is idle again, the one that was given back last. For servers that trust everybody; there is no TLS, and no limit.
 */
export async function startTransactionPooler(port: number): Promise<AsyncDisposable & { readonly port: number }> {
  const idle: Backend[] = []
  const sockets = new Set<Socket>()
  const keep = (socket: Socket): void => void sockets.add(socket.on('error', () => undefined))

  const open = async (startup: Buffer): Promise<Backend> => {
    const backend: Backend = { socket: connect({ host: '127.0.0.1', port }), client: undefined }
    keep(backend.socket)
    backend.socket.write(startup)
    let held = Buffer.alloc(0)
    const ready = Promise.withResolvers<void>()
    backend.socket.on('data', (data) => {
      held = Buffer.concat([held, data])
      let at = 0
      for (let end = endOf(held, at); end !== undefined; end = endOf(held, at)) {
        const isReady = held[at] === 0x5a
        if (backend.client === undefined) {
          if (isReady) ready.resolve()
        } else {
          const { client } = backend
          if (isReady && held[at + 5] === 0x49) {
            backend.client = undefined
            idle.push(backend)
          }
          client.write(held.subarray(at, end))
        }
        at = end
      }
      held = held.subarray(at)
    })
    await ready.promise
    return backend
  }

  const server = createServer((client) => {
    keep(client)
    let startup: Buffer | undefined
    let work = Promise.resolve()
    const mine = (): Backend | undefined => lent.get(client)
    client.on('data', (data) => {
      work = work.then(async () => {
        if (startup === undefined) {
          startup = data
          const key = Buffer.alloc(8, 7)
          client.write(
            Buffer.concat([message('R', Buffer.alloc(4)), message('K', key), message('Z', Buffer.from('I'))]),
          )
          return
        }
        let backend = mine()
        if (backend?.client !== client) {
          backend = idle.pop() ?? (await open(startup))
          backend.client = client
          lent.set(client, backend)
        }
        backend.socket.write(data)
      })
    })
  })
  const lent = new WeakMap<Socket, Backend>()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
