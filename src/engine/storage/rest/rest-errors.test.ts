import { rmSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import { type FaultProxy, type ProxyFault, startFaultProxy } from '../../../../test/support/servers/fault-proxy.ts'
import { type RestServer, startRcloneRest, startRestServer } from '../../../../test/support/servers/rclone-rest.ts'
import { freePort } from '../../../../test/support/servers/server-folder.ts'
import { scratchFolder } from '../../../../test/support/test-repository.ts'
import { systemClock } from '../../../lib/clock.ts'
import type { ErrorCode } from '../../../lib/errors.ts'
import { newFile } from '../contract-support.ts'
import { listFiles } from '../list-files.ts'
import { openStorage } from '../locations.ts'
import { errorFrom } from '../testing.ts'
import { openRest } from './testing.ts'

const withUser = (url: string, user: string): string => url.replace('//', `//${user}@`)
const user = { name: 'ann', password: 'se/cr:et' }
const ann = `ann:${encodeURIComponent(user.password)}`

describe.each([
  { kind: 'rclone', start: startRcloneRest },
  { kind: 'rest-server', start: startRestServer },
] as const)('a REST server of $kind', ({ kind, start }) => {
  test.skipIf(lacks(kind))('lets in who has the password, from the location or the environment', async () => {
    await using server = await start({ user, privateRepos: true })
    const { url } = server
    const storage = openRest(withUser(`${url}ann`, ann))
    expect(storage.location).toBe(`rest:http://ann:***@127.0.0.1:${server.port}/ann/`)
    await storage.create()
    const { file, content } = newFile('snapshot', 100)
    await storage.put(file, content)
    const environment = { RESTIC_REST_USERNAME: 'ann', RESTIC_REST_PASSWORD: user.password }
    expect(await openRest(`${url}ann`, { environment }).get(file)).toEqual(content)

    const refusals = [`${url}ann`, withUser(`${url}ann`, 'ann:wrong'), withUser(`${url}bob`, ann)]
    for (const place of refusals) {
      const error = await errorFrom(() => openRest(place).get(file))
      expect(error).toMatchObject({ code: 'HF_STORAGE_DENIED', retry: 'after-fix' })
      expect(error.message).not.toMatch(/wrong|se%2Fcr|se\/cr/)
    }
  })

  test.skipIf(lacks(kind))('that only takes new files refuses to remove them, except locks', async () => {
    await using server = await start({ appendOnly: true })
    const storage = openRest(`${server.url}x/`)
    await storage.create()
    const { file, content } = newFile('snapshot', 100)
    const lock = newFile('lock', 100)
    await storage.put(file, content)
    await storage.put(lock.file, lock.content)
    await storage.delete(lock.file)
    const error = await errorFrom(() => storage.delete(file))
    expect(error).toMatchObject({ code: 'HF_STORAGE_DENIED', retry: 'after-fix' })
    expect(error.message).toContain('append-only')
    expect((await errorFrom(() => storage.put(file, content))).code).toBe('HF_STORAGE_EXISTS')
    expect(await storage.get(file)).toEqual(content)
    await storage.put({ kind: 'config' }, content)
    expect((await errorFrom(() => storage.put({ kind: 'config' }, content, { replace: true }))).code).toBe(
      'HF_STORAGE_DENIED',
    )
    expect(await storage.get({ kind: 'config' })).toEqual(content)
    await storage.close()
  })

  test.skipIf(lacks(kind))('is trusted by its certificate', async () => {
    await using server = await start({ tls: true })
    const caFiles = [server.certificateFile!]
    const storage = openRest(server.url, { network: { caFiles } })
    await storage.create()
    const { file, content } = newFile('key', 5000)
    await storage.put(file, content)
    expect(await openRest(server.url, { network: { isInsecure: true } }).get(file)).toEqual(content)
    const untrusted = await errorFrom(() => openRest(server.url).get(file))
    expect(untrusted).toMatchObject({ code: 'HF_STORAGE_UNTRUSTED', retry: 'after-fix' })
    expect(untrusted.hint).toContain('--cacert')
    const named = server.url.replace('127.0.0.1', 'localhost')
    const otherName = await errorFrom(() => openRest(named, { network: { caFiles } }).get(file))
    expect(otherName).toMatchObject({ code: 'HF_STORAGE_UNTRUSTED', retry: 'after-fix' })
    expect(otherName.message).toContain('for another name')
    const plain = await errorFrom(() => openRest(server.url.replace('https', 'http')).get(file))
    expect(plain.retry).toBe('never')
    await storage.close()
  })
})

describe('what is no REST server', () => {
  test('nothing listens', async () => {
    const error = await errorFrom(async () => openRest(`http://127.0.0.1:${await freePort()}/`).create())
    expect(error).toMatchObject({ code: 'HF_STORAGE_UNREACHABLE', retry: 'after-fix' })
    expect(error.message).toContain('nothing listens')
  })

  test('a name that nobody has', async () => {
    const error = await errorFrom(() => openRest('http://nobody.invalid/').create())
    expect(error).toMatchObject({ code: 'HF_STORAGE_UNREACHABLE', retry: 'after-fix' })
  })

  test('something else that listens', async () => {
    const server = createServer((socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    const http = await errorFrom(() => openRest(`http://127.0.0.1:${port}/`).create())
    expect(http).toMatchObject({ code: 'HF_STORAGE_LOCATION', retry: 'after-fix' })
    const https = await errorFrom(() => openRest(`https://127.0.0.1:${port}/`).create())
    expect(https).toMatchObject({ code: 'HF_STORAGE_UNTRUSTED', retry: 'after-fix' })
    server.close()
  })

  test.each([
    '',
    'host/path',
    'ftp://host/',
    'https://user:secret/word@host/',
    'http://host/?a=secret',
    'http+unix://x',
  ])('rest:%s is no location', async (place) => {
    const error = await errorFrom(() => openRest(place))
    expect(error.code).toBe('HF_STORAGE_LOCATION')
    expect(error.message).not.toContain('secret')
  })
})

describe.skipIf(lacks('rclone'))('a bad link to a REST server', () => {
  let server: RestServer
  let proxy: FaultProxy
  beforeAll(async () => {
    server = await startRcloneRest()
    proxy = await startFaultProxy(server)
    await openRest(proxy.url).create()
  })
  afterAll(async () => {
    await proxy.stop()
    await server.stop()
  })

  const of = (method: string, effect: ProxyFault['effect']): ProxyFault[] => [{ methods: [method], times: 1, effect }]

  test.each<[what: string, ProxyFault['effect'], code: ErrorCode, retry: string]>([
    ['a reset', { type: 'reset' }, 'HF_STORAGE_UNREACHABLE', 'later'],
    ['a body cut short', { type: 'truncate', bytes: 5000 }, 'HF_STORAGE_UNREACHABLE', 'later'],
    ['nothing at all', { type: 'stall' }, 'HF_STORAGE_UNREACHABLE', 'later'],
    ['status 500', { type: 'answer', status: 500 }, 'HF_STORAGE_IO', 'later'],
    ['status 429', { type: 'answer', status: 429, headers: { 'Retry-After': '7' } }, 'HF_STORAGE_THROTTLED', 'later'],
    ['status 507', { type: 'answer', status: 507 }, 'HF_STORAGE_FULL', 'after-fix'],
    ['status 403', { type: 'answer', status: 403, body: 'Forbidden' }, 'HF_STORAGE_DENIED', 'after-fix'],
    ['status 302', { type: 'answer', status: 302 }, 'HF_STORAGE_LOCATION', 'after-fix'],
    ['status 418', { type: 'answer', status: 418 }, 'HF_STORAGE_IO', 'never'],
  ])('%s is told by name, and one more attempt would do', async (_, effect, code, retry) => {
    const storage = openRest(proxy.url, { network: { stuckRequestTimeoutMs: 300 } })
    const { file, content } = newFile('index', 20_000)
    await storage.put(file, content)
    // A connection that breaks as it is taken again may have been idle for too long: that is tried once more at once.
    proxy.setFaults([{ methods: ['GET'], times: effect.type === 'reset' ? 2 : 1, effect }])
    const error = await errorFrom(() => storage.get(file))
    expect(error).toMatchObject({ code, retry })
    if (code === 'HF_STORAGE_THROTTLED') expect(error.context.retryAfterMs).toBe(7000)
    expect(await storage.get(file)).toEqual(content)
    await storage.close()
  })

  test('a slow drip is waited for', async () => {
    const storage = openRest(proxy.url, { network: { stuckRequestTimeoutMs: 300 } })
    const { file, content } = newFile('index', 2000)
    await storage.put(file, content)
    proxy.setFaults(of('GET', { type: 'drip', bytes: 100, pauseMs: 20 }))
    expect(await storage.get(file)).toEqual(content)
    await storage.close()
  })

  test('uploads that are cut or whose answer is lost are repeated, and stored once', async () => {
    const storage = await openStorage(`rest:${proxy.url}`, { clock: quick })
    for (const effect of [{ type: 'cut-upload', bytes: 300_000 }, { type: 'lose-answer' }] as const) {
      const { file, content } = newFile('data', 1 << 20)
      proxy.setFaults(of('POST', effect))
      await storage.put(file, content)
      expect(await storage.get(file)).toEqual(content)
    }
    await storage.close()
  })

  test('a server that is started anew is waited for', async () => {
    const storage = await openStorage(`rest:${server.url}`, { clock: quick })
    const { file, content } = newFile('snapshot', 1000)
    await storage.put(file, content)
    await server.kill()
    const read = storage.get(file)
    await systemClock.sleep(100)
    await server.start()
    expect(await read).toEqual(content)
    await storage.close()
  })

  test('lists that are none are refused', async () => {
    const storage = openRest(proxy.url)
    const answers = ['{"a":1}', '["x"', 'hello', `[${'9'.repeat(10_000)}`, `[{"name":"${'a'.repeat(64)}"}]`, '[] []']
    for (const body of answers) {
      proxy.setFaults(of('GET', { type: 'answer', status: 200, body }))
      expect((await errorFrom(() => listFiles(storage, 'index'))).code, body).toBe('HF_STORAGE_IO')
    }
    proxy.setFaults(of('GET', { type: 'answer', status: 200, body: ' null\n' }))
    expect(await listFiles(storage, 'key')).toEqual([])
    proxy.setFaults(of('GET', { type: 'answer', status: 200, body: '[{"name":"../../etc/passwd","size":1}]' }))
    expect(await listFiles(storage, 'key')).toEqual([])
    await storage.close()
  })

  test('lists without sizes, of version 1 of the protocol, are completed', async () => {
    const storage = openRest(proxy.url)
    const { file, content } = newFile('lock', 77)
    await storage.put(file, content)
    proxy.setFaults(of('GET', { type: 'answer', status: 200, body: JSON.stringify([file.name, 'b'.repeat(64)]) }))
    expect(await listFiles(storage, 'lock')).toEqual([{ name: file.name, sizeBytes: 77 }])
    await storage.close()
  })
})

const quick = {
  now: systemClock.now,
  sleep: (milliseconds: number, signal?: AbortSignal) => systemClock.sleep(milliseconds / 20, signal),
}

describe.skipIf(lacks('rclone'))('a unix socket', () => {
  test('leads to a REST server', async () => {
    await using server = await startRcloneRest()
    using scratch = scratchFolder()
    const socketPath = join(scratch.path, 'rest.sock')
    const bridge = await bridgeTo(server.port, socketPath)
    const storage = openRest(`http+unix://${socketPath}:/deep/er/`)
    expect(storage.location).toBe(`rest:http+unix://${socketPath}:/deep/er/`)
    await storage.create()
    const { file, content } = newFile('data', 300_000)
    await storage.put(file, content)
    expect(await openRest(`${server.url}deep/er`).get(file)).toEqual(content)
    await storage.close()
    bridge.close()
    rmSync(socketPath, { force: true })
    const gone = await errorFrom(() => openRest(`http+unix://${socketPath}:/x/`).create())
    expect(gone).toMatchObject({ code: 'HF_STORAGE_UNREACHABLE', retry: 'after-fix' })
  })
})

async function bridgeTo(port: number, socketPath: string): Promise<Server> {
  const server = createServer((socket) => {
    const upstream = connect(port, '127.0.0.1')
    socket.pipe(upstream).pipe(socket)
    for (const end of [socket, upstream]) end.on('error', () => socket.destroy())
  })
  await new Promise<void>((resolve) => server.listen(socketPath, resolve))
  return server
}
