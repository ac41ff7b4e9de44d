import { spawn } from 'node:child_process'
import { readdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import { startLatencyProxy } from '../../../../test/support/servers/latency-proxy.ts'
import { type SshServer, startSshd } from '../../../../test/support/servers/sshd.ts'
import { canMount, smallDisk } from '../../../../test/support/small-disk.ts'
import { systemClock } from '../../../lib/clock.ts'
import { newFile } from '../contract-support.ts'
import { listFiles } from '../list-files.ts'
import { openStorage } from '../locations.ts'
import { errorFrom } from '../testing.ts'
import { openSftp } from './testing.ts'

const quick = {
  now: systemClock.now,
  sleep: (milliseconds: number, signal?: AbortSignal) => systemClock.sleep(milliseconds / 20, signal),
}

describe.skipIf(lacks('sshd'))('SFTP in bad times', () => {
  let server: SshServer
  beforeAll(async () => {
    server = await startSshd()
    const storage = openSftp(server.url('x'), server)
    await storage.create()
    await storage.close()
  })
  afterAll(() => server?.stop())

  const temporaryFiles = (): string[] =>
    readdirSync(join(server.data, 'x'), { recursive: true, encoding: 'utf8' }).filter((name) => name.includes('-tmp-'))

  test('a server that dies in an upload and comes back is waited for, and what it left is removed in time', async () => {
    const storage = await openStorage(`${server.url('x')}`, { clock: quick, environment: server.environment })
    const { file, content } = newFile('data', 24 << 20)
    const stored = storage.put(file, content)
    while (temporaryFiles().length === 0) await systemClock.sleep(5)
    await server.kill()
    await systemClock.sleep(50)
    await server.start()
    await stored
    expect(await storage.get(file)).toEqual(content)
    const [left] = temporaryFiles()
    expect(left).toBeDefined()
    const path = join(server.data, 'x', left!)
    await listFiles(storage, 'data')
    const other = newFile('data', 10)
    await storage.put(other.file, other.content)
    // It may still be written to.
    expect(temporaryFiles()).toEqual([left])
    const old = Date.now() / 1000 - 25 * 60 * 60
    utimesSync(path, old, old)
    await listFiles(storage, 'data')
    const more = newFile('data', 10)
    await storage.put(more.file, more.content)
    expect(temporaryFiles()).toEqual([])
    await storage.close()
  })

  test('a connection that breaks in a download is made anew', async () => {
    const storage = await openStorage(server.url('x'), { clock: quick, environment: server.environment })
    const { file, content } = newFile('data', 16 << 20)
    await storage.put(file, content)
    const read = storage.get(file)
    await server.kill()
    await server.start()
    expect(await read).toEqual(content)
    await storage.close()
  })

  test('a writer that is killed leaves nothing under a final name', async () => {
    const before = await listed()
    const script = `
      const { openStorage } = await import(${JSON.stringify(new URL('../locations.ts', import.meta.url).href)})
      const { newFile } = await import(${JSON.stringify(new URL('../contract-support.ts', import.meta.url).href)})
      const storage = await openStorage(${JSON.stringify(server.url('x'))}, { environment: process.env })
      for (;;) { const { file, content } = newFile('data', 12 << 20); await storage.put(file, content); console.log(file.name) }`
    for (const killAfterMs of [0, 60, 150]) {
      const env = { ...process.env, ...server.environment }
      const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
        env,
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      let said = ''
      child.stdout.on('data', (text) => {
        said += text
      })
      while (!said.includes('\n')) await systemClock.sleep(5)
      await systemClock.sleep(killAfterMs)
      child.kill('SIGKILL')
      await new Promise((resolve) => child.once('close', resolve))
      const names = said.split('\n').slice(0, -1)
      const now = await listed()
      for (const name of names) expect(now.get(name)).toBe(12 << 20)
      for (const [name, size] of now) if (!before.has(name)) expect(size).toBe(12 << 20)
    }
  })

  async function listed(): Promise<Map<string, number>> {
    const storage = openSftp(server.url('x'), server)
    const files = await listFiles(storage, 'data')
    await storage.close()
    return new Map(files.map(({ name, sizeBytes }) => [name, sizeBytes]))
  }

  test('a distant server is kept busy: large files take few round trips', async () => {
    const roundTripMs = 100
    const proxy = await startLatencyProxy(server.port, roundTripMs)
    const far = openSftp(server.url('x').replace(`:${server.port}`, `:${proxy.port}`), server)
    const small = newFile('index', 100)
    await far.put(small.file, small.content)
    const { file, content } = newFile('data', 4 << 20)
    const tripsOf = async (work: () => Promise<unknown>): Promise<number> => {
      const start = performance.now()
      await work()
      return (performance.now() - start) / roundTripMs
    }
    // 128 requests of 32 KiB one after the other would take 128 round trips, and the server's window alone lets in 2 MiB for each. A
    // machine that is busy adds some.
    expect(await tripsOf(() => far.put(file, content))).toBeLessThan(48)
    let read: Uint8Array | undefined
    expect(await tripsOf(async () => (read = await far.get(file)))).toBeLessThan(48)
    expect(read).toEqual(content)
    expect(await tripsOf(() => far.get(file, { offset: 1 << 20, length: 1000 }))).toBeLessThan(6)
    expect(await tripsOf(() => listFiles(far, 'data'))).toBeLessThan(40)
    await far.close()
    await proxy.stop()
  })

  test('a link on which nothing moves any more is given up', async () => {
    const proxy = await startLatencyProxy(server.port, 1)
    const url = server.url('x').replace(`:${server.port}`, `:${proxy.port}`)
    const storage = openSftp(url, server, { stuckRequestTimeoutMs: 2500 })
    const { file, content } = newFile('data', 1000)
    await storage.put(file, content)
    await server.pause(true)
    const error = await errorFrom(() => storage.get(file))
    expect(error).toMatchObject({ code: 'HF_STORAGE_UNREACHABLE', retry: 'later' })
    await server.pause(false)
    expect(await storage.get(file)).toEqual(content)
    await storage.close()
    await proxy.stop()
  })

  test.skipIf(!canMount())('a full disk is told by its name, and leaves nothing', async () => {
    using disk = smallDisk(8 << 20)
    symlinkSync(disk.path, join(server.data, 'small'))
    const storage = openSftp(server.url('small/repository'), server)
    await storage.create()
    const { file, content } = newFile('data', 12 << 20)
    const error = await errorFrom(() => storage.put(file, content))
    expect(error).toMatchObject({ code: 'HF_STORAGE_FULL', retry: 'after-fix' })
    expect(await listFiles(storage, 'data')).toEqual([])
    expect(await storage.features.freeBytes!()).toBeGreaterThan(6 << 20)
    disk.setWritable(false)
    const small = newFile('data', 10)
    expect((await errorFrom(() => storage.put(small.file, small.content))).code).toBe('HF_STORAGE_DENIED')
    disk.setWritable(true)
    await storage.close()
  })

  test('something else under the name of a file is no file', async () => {
    const storage = openSftp(server.url('x'), server)
    const { file } = newFile('snapshot', 1)
    symlinkSync('/', join(server.data, 'x', 'snapshots', file.kind === 'snapshot' ? file.name : ''))
    expect((await errorFrom(() => storage.get(file))).code).toBe('HF_STORAGE_IO')
    writeFileSync(join(server.data, 'x', 'snapshots', 'README'), 'x')
    expect(await listFiles(storage, 'snapshot')).toEqual([])
    await storage.close()
  })
})

describe('what pretends to be an SFTP server', () => {
  const answering = (script: string): Promise<unknown> => {
    const storage = openSftp(
      'sftp:h:/x',
      { environment: { PATH: process.env.PATH! } },
      { options: { command: `node -e '${script}'` } },
    )
    return errorFrom(() => storage.stat({ kind: 'config' })).finally(() => storage.close())
  }

  test.each([
    ['prints something at login', 'console.log("Welcome to this machine!")', 'HF_STORAGE_LOCATION'],
    [
      'announces endless packets',
      'process.stdout.write(Buffer.from([255,255,255,255,2]));process.stdin.resume()',
      'HF_STORAGE_LOCATION',
    ],
    [
      'speaks an older version',
      'process.stdout.write(Buffer.from([0,0,0,5,2,0,0,0,2]));process.stdin.resume()',
      'HF_STORAGE_LOCATION',
    ],
    [
      'answers what nobody asked',
      'process.stdout.write(Buffer.from([0,0,0,5,2,0,0,0,3,0,0,0,5,101,0,0,0,9]));process.stdin.resume()',
      'HF_STORAGE_LOCATION',
    ],
    ['says nothing and leaves', '', 'HF_STORAGE_UNREACHABLE'],
    ['leaves with a word', 'console.error("no route");process.exit(3)', 'HF_STORAGE_UNREACHABLE'],
  ])('%s', async (_, script, code) => {
    expect(await answering(script)).toMatchObject({ code, retry: 'after-fix' })
  })
})
