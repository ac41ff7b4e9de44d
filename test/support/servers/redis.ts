import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { RedisClient } from '../../../src/sources/redis/client.ts'
import { type DatabaseFingerprint, Fingerprint } from '../../../src/sources/redis/fingerprint.ts'
import { Crc64 } from '../../../src/sources/redis/rdb/crc64.ts'
import type { RdbEntry } from '../../../src/sources/redis/rdb/entry.ts'
import { RdbReader, type RdbSummary } from '../../../src/sources/redis/rdb/reader.ts'
import type { Reply } from '../../../src/sources/redis/resp.ts'
import { makeCertificate } from './certificate.ts'
import { freePort, serverFolder } from './server-folder.ts'

export interface RedisServerOptions {
  /** Further settings, as on the command line: `['--maxmemory', '100mb']`. */
  readonly args?: readonly string[]
  /** Of the default user. */
  readonly password?: string
  /** As in `ACL SETUSER`: `backup on >secret +ping`. */
  readonly aclUsers?: readonly string[]
  /** Serve TLS, and TLS only; clients must show the certificate too. Needs the command openssl. */
  readonly tls?: boolean
  /** A dump.rdb to start with. */
  readonly dump?: Uint8Array
  /** Be a sentinel of the master at this port of 127.0.0.1. */
  readonly sentinelOf?: { readonly name: string; readonly port: number }
  /** The program, instead of HOLDFAST_TEST_REDIS or `redis-server`. */
  readonly program?: string
}

export interface RedisServer {
  readonly port: number
  readonly url: string
  /** Of a TLS server: the certificate, which is its own authority, and its key. */
  readonly certificate: { readonly cert: string; readonly key: string } | undefined
  /** Its folder: dump.rdb lies there, and its log. */
  readonly folder: string
  readonly socket: string
  /** Runs a command as the default user. @throws when the server refuses it */
  command(...args: readonly (string | Uint8Array | number)[]): Promise<Reply>
  /** Kills it and removes its folder. */
  stop(): Promise<void>
}

const START_TRIES = 200

/** A Redis or Valkey server on a free port of 127.0.0.1, with its data in a temporary folder. */
export async function startRedis(options: RedisServerOptions = {}): Promise<RedisServer> {
  const { args = [], password, aclUsers = [], tls = false, dump, sentinelOf } = options
  const program = options.program ?? process.env.HOLDFAST_TEST_REDIS ?? 'redis-server'
  const folder = serverFolder('redis')
  const port = await freePort()
  const socket = join(folder, 'redis.sock')
  const certificate = tls ? { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') } : undefined
  if (certificate !== undefined) makeCertificate(certificate)
  if (dump !== undefined) writeFileSync(join(folder, 'dump.rdb'), dump)
  const settings: string[] = ['--bind', '127.0.0.1', '--dir', folder, '--unixsocket', socket, '--save', '']
  settings.push('--repl-diskless-sync', 'yes', '--repl-diskless-sync-delay', '0', '--logfile', join(folder, 'log'))
  // Redis 6 has no such setting, and lets everybody.
  if (options.program === undefined || !/ v=[0-6]\./.test(versionOf(options.program)))
    settings.push('--enable-debug-command', 'yes')
  if (certificate === undefined) settings.push('--port', String(port))
  else {
    const { cert, key } = certificate
    settings.push('--port', '0', '--tls-port', String(port))
    settings.push('--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file', cert)
  }
  if (password !== undefined) settings.push('--requirepass', password)
  for (const user of aclUsers) settings.push('--user', ...user.split(' '))
  if (sentinelOf !== undefined) settings.unshift(sentinelFile(folder, sentinelOf), '--sentinel')
  const child = spawn(program, [...settings, ...args], { stdio: 'ignore' })
  const kill = (): void => {
    child.kill('SIGKILL')
  }
  process.once('exit', kill)
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => resolve())
    child.once('error', () => resolve())
  })
  let client: RedisClient | undefined
  const stop = async (): Promise<void> => {
    process.off('exit', kill)
    client?.close()
    kill()
    await exited
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    client = await firstConnection(child, folder, socket, password)
  } catch (error) {
    await stop()
    throw error
  }
  const connection = client
  return {
    port,
    url: `${tls ? 'rediss' : 'redis'}://127.0.0.1:${port}`,
    certificate,
    folder,
    socket,
    command: (...words) => connection.command(...words.map((word) => (typeof word === 'number' ? String(word) : word))),
    stop,
  }
}

const versionOf = (program: string): string => spawnSync(program, ['--version'], { encoding: 'utf8' }).stdout

/** Waits until the server is up and has loaded its data; tests talk to it by its unix socket. */
async function firstConnection(
  child: ChildProcess,
  folder: string,
  socket: string,
  password: string | undefined,
): Promise<RedisClient> {
  let reason = 'it did not start'
  for (let tries = 0; tries < START_TRIES && child.exitCode === null; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 10 + tries))
    if (!existsSync(socket)) continue
    try {
      const client = await RedisClient.connect({ address: { path: socket }, password })
      const reply = await client.ask('PING')
      if (reply === 'PONG') return client
      client.close()
      reason = JSON.stringify(reply)
    } catch (error) {
      reason = (error as Error).message
    }
  }
  const log = spawnSync('tail', ['-n', '5', join(folder, 'log')], { encoding: 'utf8' }).stdout
  throw new Error(`redis-server: ${reason}\n${log}`)
}

function sentinelFile(folder: string, { name, port }: NonNullable<RedisServerOptions['sentinelOf']>): string {
  const file = join(folder, 'sentinel.conf')
  writeFileSync(file, `sentinel monitor ${name} 127.0.0.1 ${port} 1\nsentinel down-after-milliseconds ${name} 500\n`)
  return file
}

/** Fills a server with values of every type, each in its small and its large encoding. */
export async function fillWithEveryType({ command }: Pick<RedisServer, 'command'>, suffix = ''): Promise<void> {
  const key = (name: string): string => `${name}${suffix}`
  const numbered = (count: number, item: (i: number) => readonly string[]): string[] =>
    Array.from({ length: count }, (_, i) => item(i)).flat()
  const run = (...words: readonly (string | Uint8Array | number)[]): Promise<Reply> => command(...words)
  const text = 'the quick brown fox jumps over the lazy dog '
  for (const [name, value] of Object.entries({
    tiny: '7',
    short: '-300',
    int: '1234567',
    big: '99999999999',
    not: '007',
  }))
    await run('SET', key(`string:${name}`), value)
  await run('SET', key('string:lzf'), text.repeat(50))
  await run('SET', key('string:empty'), '')
  await run('SET', key('string:bytes'), Buffer.from(Array.from({ length: 256 }, (_, i) => i)))
  await run('SET', Buffer.concat([Buffer.from([0, 255, 13, 10]), Buffer.from(suffix)]), 'a binary key')
  await run('SET', key('string:expires'), 'soon', 'PXAT', 4_102_444_800_123)
  const integers = ['0', '127', '-1', '4095', '-4096', '40000', '-9000000', '2000000000', '-9223372036854775808']
  await run(
    'RPUSH',
    key('list:small'),
    ...integers,
    'x',
    'y'.repeat(63),
    'z'.repeat(64),
    text.repeat(3),
    'w'.repeat(5000),
  )
  await run('RPUSH', key('list:large'), ...numbered(3000, (i) => [`${text}${i}`]))
  await run('RPUSH', key('list:huge'), 'first', 'H'.repeat(100_000), 'last')
  await run('SADD', key('set:int16'), '1', '2', '-3')
  await run('SADD', key('set:int32'), '1', '70000', '-70000')
  await run('SADD', key('set:int64'), '1', '5000000000')
  await run('SADD', key('set:small'), 'a', 'b', '3')
  await run('SADD', key('set:large'), ...numbered(1000, (i) => [`member ${i}`]))
  await run('HSET', key('hash:small'), 'name', 'value', 'number', '12', 'empty', '')
  await run('HSET', key('hash:large'), ...numbered(1000, (i) => [`field ${i}`, String(i * 7)]))
  await run('ZADD', key('zset:small'), '1', 'one', '-2.5', 'two', '+inf', 'top', '-inf', 'bottom', '1e300', 'far')
  await run('ZADD', key('zset:large'), ...numbered(1000, (i) => [String(i / 3), `member ${i}`]))
  for (let i = 1; i <= 250; i++)
    await run(
      'XADD',
      key('stream'),
      `${1000 + i}-${i % 3}`,
      'field',
      String(i),
      ...(i % 5 === 0 ? ['other', text] : []),
    )
  await run('XDEL', key('stream'), '1005-2', '1100-1')
  for (const group of ['readers', 'idle']) await run('XGROUP', 'CREATE', key('stream'), group, '0')
  await run('XREADGROUP', 'GROUP', 'readers', 'ann', 'COUNT', 9, 'STREAMS', key('stream'), '>')
  await run('XREADGROUP', 'GROUP', 'readers', 'bob', 'COUNT', 3, 'STREAMS', key('stream'), '>')
  await run('XACK', key('stream'), 'readers', '1001-1')
  await run('XGROUP', 'CREATE', key('stream:empty'), 'readers', '$', 'MKSTREAM')
}

/** The RDB file a server writes now, once no copy for a replica is under way. */
export async function saved(server: RedisServer): Promise<Buffer> {
  while (String(await server.command('INFO', 'persistence')).includes('rdb_bgsave_in_progress:1'))
    await new Promise((resolve) => setTimeout(resolve, 10))
  await server.command('SAVE')
  return readFileSync(join(server.folder, 'dump.rdb'))
}

/** Reads a file in pieces of the given size. */
export function readRdbFile(
  bytes: Uint8Array,
  pieceBytes: number = bytes.length,
): { entries: RdbEntry[]; summary: RdbSummary } {
  const entries: RdbEntry[] = []
  const reader = new RdbReader({ onEntry: (entry) => entries.push(entry) })
  for (let at = 0; at < bytes.length; at += pieceBytes) reader.push(bytes.slice(at, at + pieceBytes))
  return { entries, summary: reader.end() }
}

/** The fingerprints of the keys of a file. */
export function databasesOf(entries: readonly RdbEntry[]): readonly DatabaseFingerprint[] {
  const fingerprint = new Fingerprint()
  for (const entry of entries) fingerprint.add(entry)
  return fingerprint.databases
}

/** A file with the checksum it should have. */
export function sealed(content: Uint8Array): Buffer {
  const checksum = Buffer.alloc(8)
  checksum.writeBigUInt64LE(new Crc64().update(content).value)
  return Buffer.concat([content, checksum])
}

export async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
