import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { ArrivalSocket } from './arrival-socket.ts'

/** A socket whose peer does `talk`. */
async function connectedTo(talk: (peer: Socket) => void): Promise<ArrivalSocket> {
  const server = createServer((peer) => {
    peer.on('error', () => undefined)
    talk(peer)
    server.close()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const arrival = new ArrivalSocket()
  arrival.stream.connect((server.address() as AddressInfo).port, '127.0.0.1')
  await once(arrival.stream, 'connect')
  return arrival
}

const content = Buffer.from(Uint32Array.from({ length: 500_000 }, (_, i) => i).buffer)

test('gives every byte once and in order, however slowly it is read', async () => {
  const arrival = await connectedTo((peer) => peer.end(content))
  const pieces: Buffer[] = []
  for await (const piece of arrival.takeOver()) {
    pieces.push(Buffer.from(piece))
    if (pieces.length % 3 === 0) await new Promise((resolve) => setTimeout(resolve, 2))
  }
  expect(Buffer.concat(pieces).equals(content)).toBe(true)
})

test('takes what is sent little by little in pieces that are worth it', async () => {
  const piece = Buffer.alloc(8192, 1)
  const arrival = await connectedTo((peer) => {
    let sent = 0
    const send = (): void => {
      if (sent++ === 1000) peer.end()
      else peer.write(piece, () => setImmediate(send))
    }
    send()
  })
  let count = 0
  let bytes = 0
  for await (const { length } of arrival.takeOver({ gathers: true })) {
    count++
    bytes += length
  }
  expect(bytes).toBe(1000 * piece.length)
  expect(count).toBeLessThan(500)
})

test('is a stream like others until it is taken over', async () => {
  const arrival = await connectedTo((peer) => {
    peer.write('hello')
    peer.on('data', () => peer.end('world'))
  })
  const [hello] = await once(arrival.stream, 'data')
  expect(String(hello)).toBe('hello')
  const rest = arrival.takeOver()
  const first = rest.next()
  arrival.stream.write('go on')
  expect(String((await first).value)).toBe('world')
  expect((await rest.next()).done).toBe(true)
})

test('fails with the connection', async () => {
  const arrival = await connectedTo((peer) => {
    peer.write('begun')
    peer.on('data', () => peer.resetAndDestroy())
  })
  const pieces = arrival.takeOver()
  expect(String((await pieces.next()).value)).toBe('begun')
  arrival.stream.write('now')
  await expect(pieces.next()).rejects.toThrow(/ECONNRESET/)
})

test('ends when it is destroyed here', async () => {
  const arrival = await connectedTo((peer) => peer.write('begun'))
  const pieces = arrival.takeOver()
  await pieces.next()
  const next = pieces.next()
  arrival.stream.destroy()
  expect((await next).done).toBe(true)
})
