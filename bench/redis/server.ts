import { join } from 'node:path'
import { RedisClient } from '../../src/sources/redis/client.ts'
import { readFacts } from '../../src/sources/redis/server.ts'
import { freePort } from '../../src/sources/sandbox/free-port.ts'
import { SandboxFolder } from '../../src/sources/sandbox/sandbox-folder.ts'

/**
 * Keys as applications have them, the same ones every time: documents in strings that expire, small hashes, small sets, large sorted sets and lists.
 * About 165 bytes of RDB file for each.
 */
const FILL = `
  for i = tonumber(ARGV[1]), tonumber(ARGV[2]) do
    local h, kind = redis.sha1hex(i), i % 10
    if kind < 4 then
      redis.call('SET', 'session:' .. h, '{"user":' .. i .. ',"token":"' .. h .. redis.sha1hex(h) .. '","email":"' .. h:sub(1, 8) .. '@example.com","roles":["admin","user"]}', 'PXAT', 4102444800000 + i)
    elseif kind < 7 then
      redis.call('HSET', 'user:' .. i, 'name', h:sub(1, 12), 'email', h .. '@example.com', 'visits', i, 'balance', i * 7 / 100, 'token', redis.sha1hex(h), 'city', 'Berlin')
    elseif kind < 8 then redis.call('SADD', 'tags:' .. i, 'a' .. h:sub(1, 5), 'b' .. h:sub(5, 9), i)
    elseif kind < 9 then redis.call('ZADD', 'board:' .. i % 1000, i / 3, 'player:' .. h)
    else redis.call('RPUSH', 'queue:' .. i % 500, h .. ':' .. i .. ':' .. redis.sha1hex(h))
    end
  end`
const BATCH = 20_000
const START_TRIES = 500

/** A server with data, and the folder that all work in; all of it goes in the end. */
export class BenchServer implements AsyncDisposable {
  readonly work: string
  readonly port: number
  version = ''
  readonly #sandbox: SandboxFolder

  private constructor(sandbox: SandboxFolder, port: number) {
    this.#sandbox = sandbox
    this.work = sandbox.path
    this.port = port
  }

  static async create({
    work,
    items,
    program,
  }: {
    work: string
    items: number
    program: string
  }): Promise<BenchServer> {
    const server = new BenchServer(SandboxFolder.create({ root: work }), await freePort())
    try {
      await server.#start(items, program)
      return server
    } catch (error) {
      await server[Symbol.asyncDispose]()
      throw error
    }
  }

  connect(): Promise<RedisClient> {
    return RedisClient.connect({ address: { host: '127.0.0.1', port: this.port } })
  }

  async #start(items: number, program: string): Promise<void> {
    const settings = {
      port: this.port,
      bind: '127.0.0.1',
      dir: this.work,
      save: '',
      'repl-diskless-sync': 'yes',
      'repl-diskless-sync-delay': 0,
      logfile: join(this.work, 'log'),
    }
    const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)])
    const child = this.#sandbox.start('redis', program, args)
    using client = await this.#first(child)
    this.version = (await readFacts(client)).version
    for (let first = 1; first <= items; first += BATCH)
      await client.command('EVAL', FILL, '0', String(first), String(Math.min(items, first + BATCH - 1)))
  }

  async #first(child: ReturnType<SandboxFolder['start']>): Promise<RedisClient> {
    for (let tries = 0; ; tries++) {
      try {
        return await this.connect()
      } catch (error) {
        if (child.end !== undefined || tries === START_TRIES) throw error
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sandbox[Symbol.asyncDispose]()
  }
}
