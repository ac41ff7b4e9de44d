import { spawn } from 'node:child_process'
import { chownSync, closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { MongoClient } from 'mongodb'
import { freePort, serverFolder, unprivileged } from '../server-folder.ts'
import { mongodProgram } from './mongod-program.ts'

export interface MongodOptions {
  /** Be the only member of a replica set of this name; alone by default. */
  readonly replicaSet?: string
  /** As in `--setParameter`. */
  readonly parameters?: Readonly<Record<string, string | number | boolean>>
  /** Instead of HOLDFAST_TEST_MONGOD, or what PATH has. */
  readonly program?: string
}

export interface MongodServer extends AsyncDisposable {
  readonly url: string
  readonly port: number
  /** Its data and its log. */
  readonly folder: string
  log(): string
  stop(): Promise<void>
}

const START_MS = 60_000

/** Starts a real mongod on a free loopback port. Needs `mongod` of the requirements. */
export async function startMongod(options: MongodOptions = {}): Promise<MongodServer> {
  const { replicaSet, parameters = {}, program = mongodProgram() } = options
  if (program === undefined) throw new Error('there is no mongod')
  const folder = serverFolder('mongod')
  const port = await freePort()
  const data = join(folder, 'data')
  const logPath = join(folder, 'log')
  mkdirSync(data)
  writeFileSync(logPath, '')
  if (unprivileged.uid !== undefined)
    for (const path of [data, logPath]) chownSync(path, unprivileged.uid, unprivileged.gid!)
  const args = ['--dbpath', data, '--port', String(port), '--bind_ip', '127.0.0.1', '--unixSocketPrefix', folder]
  if (replicaSet !== undefined) args.push('--replSet', replicaSet)
  const all = { diagnosticDataCollectionEnabled: false, ...parameters }
  for (const [name, value] of Object.entries(all)) args.push('--setParameter', `${name}=${value}`)
  const log = openSync(logPath, 'a')
  const child = spawn(program, args, { ...unprivileged, cwd: folder, stdio: ['ignore', log, log] })
  closeSync(log)
  const kill = (): void => void child.kill('SIGKILL')
  process.once('exit', kill)
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve())
    child.once('error', () => resolve())
  })
  const stop = async (): Promise<void> => {
    process.off('exit', kill)
    kill()
    await ended
    rmSync(folder, { recursive: true, force: true })
  }
  const url = `mongodb://127.0.0.1:${port}/?directConnection=true`
  const isRunning = (): boolean => child.pid !== undefined && child.exitCode === null && child.signalCode === null
  try {
    await ready(url, isRunning, replicaSet === undefined ? undefined : { _id: replicaSet, host: `127.0.0.1:${port}` })
  } catch (error) {
    const said = readFileSync(logPath, 'utf8')
    await stop()
    throw new Error(`mongod does not start: ${(error as Error).message}\n${said.slice(-4000)}`, { cause: error })
  }
  return { url, port, folder, log: () => readFileSync(logPath, 'utf8'), stop, [Symbol.asyncDispose]: stop }
}

interface SoleMember {
  readonly _id: string
  readonly host: string
}

/** Waits until it takes writes; makes it a replica set of one first when `set` is given. */
async function ready(url: string, isRunning: () => boolean, set: SoleMember | undefined): Promise<void> {
  let isInitiated = set === undefined
  for (const end = performance.now() + START_MS; ; await delay(50)) {
    try {
      await using client = await new MongoClient(url, { serverSelectionTimeoutMS: 1000 }).connect()
      const admin = client.db('admin')
      if (!isInitiated) {
        const config = { _id: set!._id, members: [{ _id: 0, host: set!.host }] }
        await admin.command({ replSetInitiate: config })
        isInitiated = true
      }
      if ((await admin.command({ hello: 1 })).isWritablePrimary === true) return
      throw new Error('it has not become primary')
    } catch (error) {
      if (!isRunning() || performance.now() > end) throw error
    }
  }
}
