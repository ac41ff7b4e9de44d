import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { S3 } from '@aws-sdk/client-s3'
import type { S3Server } from './s3-server.ts'
import { serverFolder } from './server-folder.ts'
import { listens, ServerProcess, startProcess } from './server-process.ts'

/** An object store listens at four ports. */
const STORE_PORTS = 20
const STORE_TRIES = 10
const KEY = 'HOLDFASTTESTKEY'
const SECRET = 'a secret of tests'
/** Of one command that sets something up. */
const COMMAND_MS = 60_000

/**
 * Ceph's S3 gateway on a free port of 127.0.0.1, before a monitor and one store of objects in memory. It is a cluster of one that asks its own
 * parts for no keys.
 */
export async function startCeph(): Promise<S3Server> {
  const folder = serverFolder('ceph')
  for (const name of ['mon', 'osd', 'run', 'log']) mkdirSync(join(folder, name))
  const ports = await reservePorts()
  const [monitor, gateway, objects] = [ports.first, ports.first + 1, ports.first + 2]
  const cluster = randomUUID()
  const conf = join(folder, 'ceph.conf')
  writeFileSync(conf, configuration(folder, { cluster, monitor, objects, gateway }))
  const run = async (program: string, ...args: readonly string[]): Promise<void> => {
    await promisify(execFile)(program, args, { timeout: COMMAND_MS, cwd: folder })
  }
  const parts: ServerProcess[] = []
  const stop = async (): Promise<void> => {
    for (const part of parts.reverse()) await part.stop()
    ports.release()
  }
  const start = async (program: string, args: readonly string[], isReady: () => boolean | Promise<boolean>) => {
    parts.push(await startProcess({ program, args: ['-f', '-c', conf, ...args], folder, isReady }))
  }
  try {
    const keys = join(folder, 'keyring')
    const map = join(folder, 'monmap')
    await run('ceph-authtool', '--create-keyring', keys, '--gen-key', '-n', 'mon.', '--cap', 'mon', 'allow *')
    const all = ['--cap', 'mon', 'allow *', '--cap', 'osd', 'allow *', '--cap', 'mgr', 'allow *']
    await run('ceph-authtool', keys, '--gen-key', '-n', 'client.admin', ...all)
    await run('monmaptool', '--create', '--clobber', '--fsid', cluster, '--addv', 'a', `[v1:127.0.0.1:${monitor}]`, map)
    await run('ceph-mon', '--mkfs', '-i', 'a', '--monmap', map, '--keyring', keys, '-c', conf)
    await start('ceph-mon', ['-i', 'a'], () => listens(monitor))
    const osd = randomUUID()
    await run('ceph', '-c', conf, 'osd', 'new', osd)
    await run('ceph-osd', '-i', '0', '--mkfs', '--osd-uuid', osd, '-c', conf)
    const store = new ServerProcess({
      program: 'ceph-osd',
      args: ['-f', '-c', conf, '-i', '0'],
      folder,
      isReady: (said) => said.includes('starting boot process'),
    })
    parts.push(store)
    // It may ask the monitor something before it knows of which cluster that is, and ends.
    for (let tries = 1; ; tries++)
      try {
        await store.start()
        break
      } catch (error) {
        if (tries === STORE_TRIES) throw error
      }
    await start('radosgw', ['-n', 'client.rgw'], () => listens(gateway))
    const user = ['--uid=holdfast', '--display-name=holdfast', `--access-key=${KEY}`, `--secret-key=${SECRET}`]
    await run('radosgw-admin', '-c', conf, 'user', 'create', ...user)
  } catch (error) {
    await stop()
    throw error
  }
  const url = `http://127.0.0.1:${gateway}`
  const s3 = new S3({
    endpoint: url,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: KEY, secretAccessKey: SECRET },
    maxAttempts: 1,
  })
  const stopAll = async (): Promise<void> => {
    s3.destroy()
    await stop()
  }
  const environment = { AWS_ACCESS_KEY_ID: KEY, AWS_SECRET_ACCESS_KEY: SECRET }
  return { url, environment, s3, stop: stopAll }
}

interface ReservedPorts {
  readonly first: number
  release(): void
}

/**
 * Ports that no other cluster of a test takes, below those that the system hands out: a cluster listens long after its ports were chosen,
 * and one that meets the monitor of another waits for ever. The last port is held meanwhile.
 */
async function reservePorts(): Promise<ReservedPorts> {
  const count = STORE_PORTS + 4
  for (let first = 20_000; first + count < 32_000; first += count) {
    const holder = createServer()
    const isOurs = await new Promise<boolean>((resolve) => {
      holder.once('error', () => resolve(false))
      holder.listen(first + count - 1, '127.0.0.1', () => resolve(true))
    })
    if (isOurs) return { first, release: () => holder.close() }
  }
  throw new Error('no ports are free for Ceph')
}

interface Ports {
  readonly cluster: string
  readonly monitor: number
  /** The first of those that the store of objects may take. */
  readonly objects: number
  readonly gateway: number
}

const configuration = (folder: string, { cluster, monitor, objects, gateway }: Ports): string =>
  [
    '[global]',
    `fsid = ${cluster}`,
    'mon initial members = a',
    `mon host = v1:127.0.0.1:${monitor}`,
    'ms bind msgr2 = false',
    `ms bind port min = ${objects}`,
    `ms bind port max = ${objects + STORE_PORTS}`,
    'log to stderr = true',
    'err to stderr = true',
    'auth cluster required = none',
    'auth service required = none',
    'auth client required = none',
    'osd pool default size = 1',
    'osd pool default min size = 1',
    'osd pool default pg num = 1',
    'osd crush chooseleaf type = 0',
    'mon allow pool size one = true',
    'paxos propose interval = 0.05',
    'osd objectstore = memstore',
    `memstore device bytes = ${2 ** 32}`,
    `run dir = ${join(folder, 'run')}`,
    `pid file = ${join(folder, 'run', '$name.pid')}`,
    `admin socket = ${join(folder, 'run', '$name.asok')}`,
    `log file = ${join(folder, 'log', '$name.log')}`,
    `keyring = ${join(folder, 'keyring')}`,
    `mon data = ${join(folder, 'mon')}`,
    `osd data = ${join(folder, 'osd')}`,
    '[client.rgw]',
    `rgw frontends = beast endpoint=127.0.0.1:${gateway}`,
    '',
  ].join('\n')
