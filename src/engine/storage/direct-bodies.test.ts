import { readFileSync } from 'node:fs'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { makeCertificate } from '../../../test/support/servers/certificate.ts'
import { scratchFolder } from '../../../test/support/test-repository.ts'
import { randomBytes } from '../../lib/random.ts'
import { type BodyMemory, type DirectAnswer, DirectBodies, type DirectOptions } from './direct-bodies.ts'

const CONTENT = randomBytes(900_000)
const head = (...lines: readonly string[]): Buffer => Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
const PLAIN_HEAD = head(
  'HTTP/1.1 206 Partial Content',
  'Server: Test',
  `Content-Length: ${CONTENT.length}`,
  'ETag: "e"',
)
const OTHER_HEAD = head('HTTP/1.1 404 Not Found', 'Content-Length: 4')

/** What the server does with each request in turn; the last one again and again. */
type Answer = (socket: Socket) => void
const pieces =
  (...parts: readonly Uint8Array[]): Answer =>
  (socket) => {
    const [first, ...rest] = parts
    if (first === undefined) return
    // Each on its way by itself.
    socket.write(first, () => setTimeout(() => pieces(...rest)(socket), 5))
  }

const scratch = scratchFolder()
let answers: Answer[] = []
let connections = 0
const serve = (socket: Socket): void => {
  connections += 1
  let asked = ''
  socket.on('error', () => socket.destroy())
  socket.on('data', (data) => {
    asked += data.toString('latin1')
    if (!asked.endsWith('\r\n\r\n')) return
    asked = ''
    const answer = answers.length > 1 ? answers.shift()! : answers[0]!
    answer(socket)
  })
}

let plain: Server
let tls: Server
let httpAgent: HttpAgent
let httpsAgent: HttpsAgent
let bodies: DirectBodies
beforeAll(async () => {
  const files = { cert: scratch.join('cert'), key: scratch.join('key') }
  makeCertificate(files)
  const [cert, key] = [readFileSync(files.cert), readFileSync(files.key)]
  plain = createServer({ noDelay: true }, serve)
  tls = createTlsServer({ cert, key }, serve)
  for (const server of [plain, tls]) await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  httpAgent = new HttpAgent({ keepAlive: true })
  httpsAgent = new HttpsAgent({ keepAlive: true, ca: cert })
  bodies = new DirectBodies(httpAgent, httpsAgent)
})
afterAll(async () => {
  httpAgent.destroy()
  httpsAgent.destroy()
  for (const server of [plain, tls]) await new Promise((resolve) => server.close(resolve))
  scratch[Symbol.dispose]()
})
beforeEach(() => {
  connections = 0
})

/** Memory between other memory, which has to stay as it is. */
function guarded(length: number): { readonly memory: BodyMemory; readonly isUnharmed: () => boolean } {
  const all = new Uint8Array(new SharedArrayBuffer(length + 200)).fill(7)
  return {
    memory: (status, announced) =>
      status === 206 && announced === length ? all.subarray(100, 100 + length) : undefined,
    isUnharmed: () => [...all.subarray(0, 100), ...all.subarray(100 + length)].every((byte) => byte === 7),
  }
}

const get = (
  memory: BodyMemory,
  options: Partial<DirectOptions> & { readonly isTls?: boolean } = {},
): Promise<DirectAnswer> => {
  const { isTls = false } = options
  const { port } = (isTls ? tls : plain).address() as AddressInfo
  const request = { isTls, host: '127.0.0.1', port, path: '/file', headers: { 'x-test': 'yes' } }
  return bodies.get(request, { memory, connectMs: 5000, stuckMs: 5000, ...options })
}

const streamed = async ({ body }: DirectAnswer): Promise<Buffer> => Buffer.concat(await body.toArray())

const failure = (work: Promise<unknown>): Promise<Error> =>
  work.then(
    () => expect.unreachable('it went well'),
    (error: Error) => error,
  )

describe.each([false, true])('with TLS: %s,', (isTls) => {
  test.each<readonly [string, readonly Uint8Array[]]>([
    ['in one piece', [Buffer.concat([PLAIN_HEAD, CONTENT])]],
    ['behind its head', [PLAIN_HEAD, CONTENT]],
    [
      'with a head in pieces',
      [PLAIN_HEAD.subarray(0, 5), PLAIN_HEAD.subarray(5, -2), PLAIN_HEAD.subarray(-2), CONTENT],
    ],
    ['in pieces', [PLAIN_HEAD, CONTENT.subarray(0, 1), CONTENT.subarray(1, 400_000), CONTENT.subarray(400_000)]],
  ])('a body goes into the memory that is given for it, %s', async (_, parts) => {
    answers = [pieces(...parts)]
    for (let time = 0; time < 3; time++) {
      const { memory, isUnharmed } = guarded(CONTENT.length)
      const answer = await get(memory, { isTls })
      expect(Buffer.compare(answer.bytes!, CONTENT)).toBe(0)
      expect(answer).toMatchObject({
        statusCode: 206,
        headers: { etag: '"e"', 'content-length': String(CONTENT.length) },
      })
      expect(isUnharmed()).toBe(true)
      expect(await streamed(answer)).toHaveLength(0)
    }
    expect(connections).toBeLessThanOrEqual(1)
  })
})

test.each<readonly [string, readonly Uint8Array[], number, Buffer]>([
  ['with another status', [OTHER_HEAD, Buffer.from('gone')], 404, Buffer.from('gone')],
  [
    'in chunks',
    [head('HTTP/1.1 206 OK', 'Transfer-Encoding: chunked'), Buffer.from('4\r\nsome\r\n0\r\n\r\n')],
    206,
    Buffer.from('some'),
  ],
  ['of another length', [head('HTTP/1.1 206 OK', 'Content-Length: 3'), Buffer.from('abc')], 206, Buffer.from('abc')],
  [
    'behind another head',
    [head('HTTP/1.1 103 Early Hints', 'Link: <x>'), Buffer.concat([PLAIN_HEAD, CONTENT])],
    206,
    Buffer.from(CONTENT),
  ],
])('what is not plain comes as a stream: an answer %s', async (_, parts, status, expected) => {
  answers = [pieces(...parts), pieces(PLAIN_HEAD, CONTENT)]
  const answer = await get(guarded(CONTENT.length).memory)
  expect(answer).toMatchObject({ statusCode: status, bytes: undefined })
  expect(Buffer.compare(await streamed(answer), expected)).toBe(0)
  // And the connection is as good as before.
  expect(Buffer.compare((await get(guarded(CONTENT.length).memory)).bytes!, CONTENT)).toBe(0)
  expect(connections).toBeLessThanOrEqual(1)
})

describe('nothing is written beside the memory, nor after the end:', () => {
  test.each<readonly [string, readonly Uint8Array[]]>([
    ['two lengths', [head('HTTP/1.1 206 OK', 'Content-Length: 900000', 'Content-Length: 4'), CONTENT]],
    ['a length and chunks', [head('HTTP/1.1 206 OK', 'Content-Length: 900000', 'Transfer-Encoding: chunked'), CONTENT]],
    [
      'a length hidden in a folded line',
      [head('HTTP/1.1 206 OK', 'X: y', ' z', 'Content-Length: 900000'), Buffer.of(1)],
    ],
    ['a head without end', [Buffer.from('HTTP/1.1 206 OK\r\n'), Buffer.alloc(200_000, 'X-A: b\r\n')]],
    ['no HTTP', [Buffer.from('SSH-2.0-OpenSSH_9.2\r\n\r\n')]],
  ])('%s', async (_, parts) => {
    answers = [
      (socket) => {
        pieces(...parts)(socket)
        setTimeout(() => socket.end(), 50)
      },
    ]
    const { memory, isUnharmed } = guarded(CONTENT.length)
    const outcome = await get(memory)
      .then(streamed)
      .catch((error: Error) => error)
    expect(outcome).toBeInstanceOf(Error)
    expect(isUnharmed()).toBe(true)
  })

  test('more than was announced, which the next request meets at most as an error', async () => {
    answers = [pieces(Buffer.concat([PLAIN_HEAD, CONTENT, Buffer.alloc(70_000, 'more')])), pieces(PLAIN_HEAD, CONTENT)]
    const outcomes: (DirectAnswer | Error)[] = []
    for (let time = 0; time < 4; time++) {
      const { memory, isUnharmed } = guarded(CONTENT.length)
      const outcome = await get(memory).catch((error: Error) => error)
      if (!(outcome instanceof Error)) expect(Buffer.compare(outcome.bytes!, CONTENT)).toBe(0)
      expect(isUnharmed()).toBe(true)
      outcomes.push(outcome)
    }
    expect(outcomes.at(-1)).not.toBeInstanceOf(Error)
    expect(outcomes.filter((outcome) => outcome instanceof Error).length).toBeLessThanOrEqual(1)
  })

  test('a body that is cut off, one that stops, and one that is no longer wanted', async () => {
    answers = [(socket) => socket.end(Buffer.concat([PLAIN_HEAD, CONTENT.subarray(0, 500_000)]))]
    expect(await failure(get(guarded(CONTENT.length).memory))).toMatchObject({ code: 'ECONNRESET' })
    answers = [pieces(PLAIN_HEAD, CONTENT.subarray(0, 500_000))]
    expect((await failure(get(guarded(CONTENT.length).memory, { stuckMs: 100 }))).name).toBe('TimeoutError')
    const drip = pieces(
      PLAIN_HEAD,
      ...Array.from({ length: 900 }, (_, i) => CONTENT.subarray(i * 1000, (i + 1) * 1000)),
    )
    answers = [drip]
    let target: Uint8Array | undefined
    const memory: BodyMemory = (_, length) => (target = new Uint8Array(length))
    const error = await failure(get(memory, { signal: AbortSignal.timeout(50) }))
    expect(error.name).toMatch(/AbortError|TimeoutError/)
    target!.fill(7)
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(target!.every((byte) => byte === 7)).toBe(true)
  })
})
