import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type FaultProxy, startFaultProxy } from './fault-proxy.ts'
import { startLatencyProxy } from './latency-proxy.ts'

const CONTENT = 'x'.repeat(100_000)
let server: Server
let served: { method: string; host: string | undefined; bytes: number; isWhole: boolean }[]
let proxy: FaultProxy

beforeAll(async () => {
  server = createServer((incoming, answer) => {
    const seen = { method: incoming.method!, host: incoming.headers.host, bytes: 0, isWhole: false }
    served.push(seen)
    incoming.on('data', (piece: Buffer) => {
      seen.bytes += piece.length
    })
    incoming.on('end', () => {
      seen.isWhole = true
      answer.writeHead(200, { 'content-length': CONTENT.length }).end(CONTENT)
    })
    incoming.on('error', () => undefined)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  proxy = await startFaultProxy({ port: (server.address() as AddressInfo).port })
})
beforeEach(() => {
  served = []
  proxy.setFaults([])
})
afterAll(async () => {
  await proxy.stop()
  await new Promise((resolve) => server.close(resolve))
})

const get = async (): Promise<string> => (await fetch(proxy.url)).text()

test('without faults requests and answers pass, and the server sees whom the client asked', async () => {
  const answer = await fetch(`${proxy.url}/path?query=1`, { method: 'PUT', body: CONTENT })
  expect(await answer.text()).toBe(CONTENT)
  expect(served).toEqual([{ method: 'PUT', host: `127.0.0.1:${proxy.port}`, bytes: CONTENT.length, isWhole: true }])
  expect(proxy.requests.at(-1)).toMatchObject({ method: 'PUT', path: '/path?query=1' })
})

test('faults hit the requests they name, so often as they say', async () => {
  proxy.setFaults([
    { methods: ['GET'], call: 2, times: 3, every: 2, effect: { type: 'answer', status: 503, body: 'slow down' } },
  ])
  const statuses: number[] = []
  for (let number = 0; number < 6; number++) {
    const answer = await fetch(proxy.url)
    statuses.push(answer.status)
    await answer.text()
  }
  expect(statuses).toEqual([200, 503, 200, 503, 200, 200])
  expect((await fetch(proxy.url, { method: 'HEAD' })).status).toBe(200)
})

test('a reset comes before the server has heard of the request, a lost answer after it', async () => {
  proxy.setFaults([{ effect: { type: 'reset' } }])
  await expect(get()).rejects.toThrow('fetch failed')
  expect(served).toHaveLength(0)
  proxy.setFaults([{ effect: { type: 'lose-answer' } }])
  await expect(get()).rejects.toThrow('fetch failed')
  expect(served).toHaveLength(1)
})

test('an upload is cut off on its way', async () => {
  proxy.setFaults([{ effect: { type: 'cut-upload', bytes: 70_000 } }])
  await expect(fetch(proxy.url, { method: 'PUT', body: CONTENT.repeat(50) })).rejects.toThrow('fetch failed')
  await expect.poll(() => served[0]?.bytes).toBe(70_000)
  expect(served[0]?.isWhole).toBe(false)
})

test('an answer that stalls does not come', async () => {
  proxy.setFaults([{ effect: { type: 'stall' } }])
  await expect(fetch(proxy.url, { signal: AbortSignal.timeout(100) })).rejects.toThrow('timeout')
})

test('answers are cut, damaged, and drip', async () => {
  proxy.setFaults([{ effect: { type: 'truncate', bytes: 1000 } }])
  await expect(get()).rejects.toThrow('terminated')
  proxy.setFaults([{ effect: { type: 'flip', bit: 80_000 * 8 } }])
  expect(await get()).toBe(`${'x'.repeat(80_000)}y${'x'.repeat(19_999)}`)
  proxy.setFaults([{ effect: { type: 'drip', bytes: 25_000, pauseMs: 20 } }])
  const start = performance.now()
  expect(await get()).toBe(CONTENT)
  expect(performance.now() - start).toBeGreaterThan(70)
})

test('behind a slow link a first answer takes two round trips, others on the same connection one', async () => {
  const far = await startLatencyProxy((server.address() as AddressInfo).port, 60)
  try {
    const url = `http://127.0.0.1:${far.port}`
    const times: number[] = []
    for (let number = 0; number < 3; number++) {
      const start = performance.now()
      expect(await (await fetch(url)).text()).toBe(CONTENT)
      times.push(performance.now() - start)
    }
    expect(times[0]).toBeGreaterThan(115)
    expect(times[1]).toBeGreaterThan(55)
    expect(Math.min(times[1]!, times[2]!)).toBeLessThan(110)
  } finally {
    await far.stop()
  }
})
