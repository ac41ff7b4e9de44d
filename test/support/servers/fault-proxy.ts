import { Agent, createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export interface ProxiedRequest {
  readonly method: string
  /** With the query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
}

/**
 * What becomes of a request:
 * - `reset`: the connection is reset before the server hears of it.
 * - `lose-answer`: the server does its work, then the connection is reset.
 * - `cut-upload`: the server gets so many bytes of the body, then both connections are reset.
 * - `stall`: nothing ever comes back.
 * - `answer`: the proxy answers in the server's place.
 * - `truncate`: the body of the answer ends after so many bytes, though its head promised more.
 * - `flip`: one bit of the body of the answer is wrong.
 * - `drip`: the body of the answer comes in pieces of so many bytes, with a pause before each.
 * - `delay`: the server hears of it later.
 */
export type ProxyEffect =
  | { readonly type: 'reset' | 'lose-answer' | 'stall' }
  | { readonly type: 'cut-upload'; readonly bytes: number }
  | { readonly type: 'truncate'; readonly bytes: number }
  | {
      readonly type: 'answer'
      readonly status: number
      readonly headers?: Readonly<Record<string, string>>
      readonly body?: string
    }
  | { readonly type: 'flip'; readonly bit: number }
  | { readonly type: 'drip'; readonly bytes: number; readonly pauseMs: number }
  | { readonly type: 'delay'; readonly milliseconds: number }

export interface ProxyFault {
  /** Only requests of these methods. */
  readonly methods?: readonly string[]
  readonly when?: (request: ProxiedRequest) => boolean
  /** The first request it hits, counted from 1 among those that match; 1 by default. */
  readonly call?: number
  /** How many requests it hits from there on; all by default. */
  readonly times?: number
  /** Of those, only every so many. */
  readonly every?: number
  readonly effect: ProxyEffect
}

export interface FaultProxy {
  readonly port: number
  readonly url: string
  /** Every request so far, in order. */
  readonly requests: readonly ProxiedRequest[]
  /** Connections that were ever opened to the proxy. */
  readonly connections: number
  /** Puts these faults in the place of all others and counts anew. Several may hit one request; the first that ends it wins. */
  setFaults(faults: readonly ProxyFault[]): void
  stop(): Promise<void>
}

/** The server behind the proxy. */
export type ProxyTarget = { readonly host?: string; readonly port: number } | { readonly socketPath: string }

/**
 * A proxy on a free port of 127.0.0.1 that does to HTTP requests what its faults say, and otherwise hands them on unchanged, the `Host`
 * header too, so that signatures of requests stay valid.
 */
export async function startFaultProxy(target: ProxyTarget, faults: readonly ProxyFault[] = []): Promise<FaultProxy> {
  const agent = new Agent({ keepAlive: true })
  const requests: ProxiedRequest[] = []
  let rules: Rule[] = []
  let connections = 0
  const setFaults = (next: readonly ProxyFault[]): void => {
    rules = next.map((fault) => ({ fault, matched: 0 }))
  }
  setFaults(faults)

  const server = createServer({ keepAliveTimeout: 60_000 }, (incoming, answer) => {
    const { method = 'GET', url: path = '/', headers } = incoming
    const asked = { method, path, headers }
    requests.push(asked)
    const effects = rules.filter((rule) => isHit(rule, asked)).map(({ fault }) => fault.effect)
    serve(target, agent, incoming, answer, effects).catch(() => incoming.destroy())
  })
  server.on('connection', () => {
    connections += 1
  })
  // A client that was reset or went away is what the proxy is for.
  server.on('clientError', (_, socket) => socket.destroy())
  await listen(server)
  const { port } = server.address() as AddressInfo
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    requests,
    get connections() {
      return connections
    },
    setFaults,
    stop: async () => {
      server.closeAllConnections()
      agent.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

interface Rule {
  readonly fault: ProxyFault
  matched: number
}

function isHit(rule: Rule, asked: ProxiedRequest): boolean {
  const { methods, when, call = 1, times = Number.POSITIVE_INFINITY, every = 1 } = rule.fault
  if ((methods && !methods.includes(asked.method)) || (when && !when(asked))) return false
  rule.matched += 1
  const number = rule.matched - call
  return number >= 0 && number < times && number % every === 0
}

const find = <T extends ProxyEffect['type']>(
  effects: readonly ProxyEffect[],
  type: T,
): Extract<ProxyEffect, { type: T }> | undefined =>
  effects.find((effect): effect is Extract<ProxyEffect, { type: T }> => effect.type === type)

async function serve(
  target: ProxyTarget,
  agent: Agent,
  incoming: IncomingMessage,
  answer: ServerResponse,
  effects: readonly ProxyEffect[],
): Promise<void> {
  const { socket } = incoming
  const delay = find(effects, 'delay')
  if (delay) await sleep(delay.milliseconds)
  if (find(effects, 'reset')) return void socket.resetAndDestroy()
  if (find(effects, 'stall')) return void incoming.resume()
  const instead = find(effects, 'answer')
  if (instead) {
    // A client is answered once it has sent everything, or it may take the answer for a broken connection.
    incoming.resume()
    await new Promise((resolve) => incoming.once('end', resolve))
    answer.writeHead(instead.status, instead.headers).end(instead.body)
    return
  }
  const outgoing = request({
    ...target,
    agent,
    method: incoming.method,
    path: incoming.url,
    headers: incoming.rawHeaders,
    setHost: false,
  })
  answer.once('close', () => {
    if (!answer.writableFinished) outgoing.destroy()
  })
  outgoing.once('error', () => socket.resetAndDestroy())
  // `100 Continue` is passed on, since some clients wait for it.
  outgoing.on('continue', () => answer.writeContinue())
  outgoing.once('response', (response) => {
    if (find(effects, 'lose-answer')) {
      response.resume().once('end', () => socket.resetAndDestroy())
      return
    }
    answer.writeHead(response.statusCode ?? 502, response.rawHeaders)
    sendBody(response, answer, effects).catch(() => socket.destroy())
  })
  const cut = find(effects, 'cut-upload')
  let sent = 0
  for await (const piece of incoming as AsyncIterable<Buffer>) {
    if (cut && sent + piece.length >= cut.bytes) {
      outgoing.write(piece.subarray(0, cut.bytes - sent))
      await sleep(5)
      outgoing.destroy()
      socket.resetAndDestroy()
      return
    }
    sent += piece.length
    if (!outgoing.write(piece)) await new Promise((resolve) => outgoing.once('drain', resolve))
  }
  outgoing.end()
}

async function sendBody(
  response: IncomingMessage,
  answer: ServerResponse,
  effects: readonly ProxyEffect[],
): Promise<void> {
  const truncate = find(effects, 'truncate')
  const flip = find(effects, 'flip')
  const drip = find(effects, 'drip')
  let sent = 0
  for await (const original of response as AsyncIterable<Buffer>) {
    let piece = original
    const flipAt = flip ? (flip.bit >> 3) - sent : -1
    if (flip && flipAt >= 0 && flipAt < piece.length) {
      piece = Buffer.from(piece)
      piece[flipAt]! ^= 1 << (flip.bit & 7)
    }
    if (truncate && sent + piece.length > truncate.bytes) {
      answer.write(piece.subarray(0, truncate.bytes - sent), () => answer.socket?.destroy())
      return
    }
    sent += piece.length
    const step = drip?.bytes ?? piece.length
    for (let at = 0; at < piece.length; at += step) {
      if (drip) await sleep(drip.pauseMs)
      if (answer.destroyed) return
      if (!answer.write(piece.subarray(at, at + step))) await drained(answer)
    }
  }
  answer.end()
}

/** Until more may be written, or nobody reads any more. */
const drained = (answer: ServerResponse): Promise<void> =>
  new Promise((resolve) => {
    const go = (): void => {
      answer.off('drain', go).off('close', go)
      resolve()
    }
    answer.once('drain', go).once('close', go)
  })

const listen = (server: Server): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
