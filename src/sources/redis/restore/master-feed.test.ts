import { createConnection } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import { type RedisServer, saved, startRedis } from '../../../../test/support/servers/redis.ts'
import { noise } from '../../../../test/support/storage-victims.ts'
import { RedisClient } from '../client.ts'
import { type Feed, feedAsMaster } from './master-feed.ts'

describe.skipIf(lacks('redis-server'))('a server that takes a file as from its master', () => {
  let servers: RedisServer[] = []

  afterEach(async () => {
    for (const server of servers) await server.stop()
    servers = []
  })

  const start = async (args: readonly string[] = []): Promise<RedisServer> => {
    const server = await startRedis({ args })
    servers.push(server)
    return server
  }

  /** A file of a few megabytes, and what gives it to `target`, with `before` each piece. */
  async function feedOf(target: RedisServer, before: (piece: number) => void | Promise<void>): Promise<Feed> {
    const source = await start()
    for (let i = 0; i < 40; i++) await source.command('SET', `key:${i}`, noise(i, 100_000))
    const file = await saved(source)
    return {
      connection: { address: { host: '127.0.0.1', port: target.port } },
      open: (signal) => RedisClient.connect({ address: { host: '127.0.0.1', port: target.port }, signal }),
      bytes: file.length,
      rdb: async function* () {
        for (let piece = 0; piece * 500_000 < file.length; piece++) {
          await before(piece)
          yield file.subarray(piece * 500_000, (piece + 1) * 500_000)
        }
      },
      onBytes: () => undefined,
    }
  }

  const state = async (target: RedisServer): Promise<string[]> => [
    String(await target.command('GET', 'old')),
    /role:\w+/.exec(String(await target.command('INFO', 'replication')))![0],
    String(await target.command('CONFIG', 'GET', 'masterauth')),
  ]

  test('keeps what it has when the file breaks off, and is a master again', async () => {
    const target = await start(['--masterauth', 'before'])
    await target.command('SET', 'old', 'data')
    const feed = await feedOf(target, (piece) => {
      if (piece === 3) throw new Error('the repository is gone')
    })
    await expect(feedAsMaster(feed)).rejects.toMatchObject({
      code: 'HF_RESTORE_FAILED',
      message: expect.stringContaining('the repository is gone'),
    })
    expect(await state(target)).toEqual(['data', 'role:master', 'masterauth,before'])
  })

  test('is the only one that is given the data', async () => {
    const target = await start()
    await target.command('SET', 'old', 'data')
    const answers: string[] = []
    const feed = await feedOf(target, async (piece) => {
      if (piece !== 1) return
      const port = Number(/master_port:(\d+)/.exec(String(await target.command('INFO', 'replication')))![1])
      for (const words of ['PSYNC ? -1', 'AUTH guessed', 'PING']) {
        const parts = words.split(' ')
        const stranger = createConnection({ host: '127.0.0.1', port })
        stranger.write(`*${parts.length}\r\n${parts.map((part) => `$${part.length}\r\n${part}\r\n`).join('')}`)
        let answer = ''
        stranger.on('data', (data) => {
          answer += data
          stranger.end()
        })
        await new Promise((resolve) => stranger.once('close', resolve))
        answers.push(answer)
      }
    })
    expect(await feedAsMaster(feed)).toBe('fed')
    expect(answers).toEqual(['', '-WRONGPASS\r\n', '-NOAUTH Authentication required.\r\n'])
    expect(await state(target)).toEqual(['null', 'role:master', 'masterauth,'])
    expect(await target.command('DBSIZE')).toBe(40n)
  })

  test('is waited for while neither of the two gets to run', async () => {
    const target = await start()
    const feed = await feedOf(target, () => undefined)
    const signal = new AbortController().signal
    const pause = new Int32Array(new SharedArrayBuffer(4))
    let looks = 0
    Object.defineProperty(signal, 'aborted', { get: () => looks++ < 3 && Atomics.wait(pause, 0, 0, 400) === 'ok' })
    expect(await feedAsMaster({ ...feed, signal, patienceMs: 300 })).toBe('fed')
    expect(await target.command('DBSIZE')).toBe(40n)
  })

  test('is not asked anything while it loads, since it does not answer then', async () => {
    const target = await start(['--key-load-delay', '50000', '--loading-process-events-interval-bytes', '100000000'])
    const feed = await feedOf(target, () => undefined)
    const open: Feed['open'] = (signal) => RedisClient.connect({ ...feed.connection, signal, silenceMs: 500 })
    expect(await feedAsMaster({ ...feed, open })).toBe('fed')
    expect(await state(target)).toEqual(['null', 'role:master', 'masterauth,'])
  })

  test('that dies while it loads is named', async () => {
    const target = await start(['--key-load-delay', '100000', '--loading-process-events-interval-bytes', '1024'])
    const feed = await feedOf(target, () => undefined)
    const feeding = expect(feedAsMaster(feed)).rejects.toMatchObject({
      code: 'HF_RESTORE_FAILED',
      message: expect.stringContaining(`127.0.0.1:${target.port}`),
      hint: expect.stringContaining('REPLICAOF NO ONE'),
    })
    await new Promise((resolve) => setTimeout(resolve, 500))
    await target.stop()
    await feeding
  })
})
