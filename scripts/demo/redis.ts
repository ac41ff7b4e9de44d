import { spawnSync } from 'node:child_process'
import { mkdirSync, renameSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { freePort } from '../../src/sources/sandbox/free-port.ts'
import type { SandboxProcess } from '../../src/sources/sandbox/sandbox-folder.ts'
import { type DemoDatabase, type DemoServers, removeData, whenReady } from './database.ts'

const KEYS = 20_000

/** Sends a command and resolves to the first line of its reply; enough for integers and simple strings. */
async function ask(socket: Socket, command: string): Promise<string> {
  socket.write(`${command}\r\n`)
  const reply = await new Promise<string>((resolve, reject) => {
    socket.once('data', (data) => resolve(data.toString()))
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('the connection was closed')))
  })
  socket.removeAllListeners()
  socket.on('error', () => undefined)
  return reply.split('\r\n', 1)[0]!
}

async function dial(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  socket.removeAllListeners()
  socket.on('error', () => undefined)
  return socket
}

/** Sessions, and a counter that grows; undefined without a server on this machine. */
export async function redisForDemo({ sandbox, signal }: DemoServers): Promise<DemoDatabase | undefined> {
  const program = ['redis-server', 'valkey-server'].find((name) => spawnSync(name, ['--version']).status === 0)
  if (program === undefined) return undefined
  const port = await freePort()
  const data = join(sandbox.path, 'session')
  mkdirSync(data)
  sandbox.handOver(data)
  let server: SandboxProcess | undefined
  let written = 0

  const start = async (folder: string): Promise<void> => {
    server = sandbox.start('redis', program, [
      ...['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', '', '--daemonize', 'no'],
    ])
    await whenReady(
      server,
      async () => {
        const socket = await dial(port)
        const reply = await ask(socket, 'PING').finally(() => socket.destroy())
        return reply === '+PONG'
      },
      signal,
    )
  }

  await start(data)
  const socket = await dial(port)
  await ask(
    socket,
    `EVAL "for i = 1, ${KEYS} do redis.call('HSET', 'session:' .. i, 'user', i, 'token', redis.sha1hex(i)) end return 'OK'" 0`,
  )
  socket.destroy()

  return {
    name: 'session',
    product: program === 'redis-server' ? 'Redis' : 'Valkey',
    source: { type: 'redis', url: `redis://127.0.0.1:${port}` },
    written: () => written,
    describe: () => `${KEYS} sessions`,
    async write(stop) {
      const writer = await dial(port)
      while (!stop.aborted) written = Number((await ask(writer, 'INCR counter')).slice(1))
      writer.destroy()
    },
    async destroy() {
      await server!.stop('SIGKILL')
      removeData(data)
    },
    async startAndProve(restored, writtenBefore) {
      const again = join(sandbox.path, 'session-restored')
      renameSync(restored, again)
      sandbox.handOver(again)
      await start(again)
      const reader = await dial(port)
      const keys = Number((await ask(reader, 'DBSIZE')).slice(1))
      const counter = Number((await ask(reader, 'INCRBY counter 0')).slice(1))
      reader.destroy()
      if (keys !== KEYS + 1) throw new Error(`after the restore there are ${keys} keys, not ${KEYS + 1}`)
      if (counter < writtenBefore)
        throw new Error(`after the restore the counter is ${counter}, and was ${writtenBefore} before the backup`)
      return `all ${KEYS} sessions, and a counter of ${counter} (${writtenBefore} when the backup began)`
    },
  }
}
