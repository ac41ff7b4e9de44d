import { rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { parseArgs } from 'node:util'
import { serverFolder } from '../server-folder.ts'
import { type ScriptedMongo, type ScriptedMongoOptions, startScriptedMongo } from './scripted.ts'

/**
 * What is put in the place of mongod: it passes its arguments to the process of the test, which starts a scripted server, and then everything
 * that clients say to that server.
 */
const PROGRAM = `
import { connect, createServer } from 'node:net'
const [hub, version, ...args] = process.argv.slice(2)
if (args.includes('--version')) {
  console.log('db version v' + version)
  process.exit(0)
}
const fail = (code) => (error) => { console.error(error.message ?? error); process.exit(code) }
const control = connect({ port: Number(hub), host: '127.0.0.1', allowHalfOpen: true })
control.on('error', fail(1)).on('close', () => process.exit(0))
control.end(JSON.stringify({ args, uid: process.getuid() }))
let said = ''
control.on('data', (chunk) => {
  said += chunk
  if (!said.endsWith('\\n')) return
  const { port, listen, error } = JSON.parse(said)
  if (error !== undefined) fail(2)(error)
  createServer((client) => {
    const server = connect({ port, host: '127.0.0.1' })
    client.pipe(server).pipe(client)
    for (const socket of [client, server]) socket.setNoDelay().on('error', () => { client.destroy(); server.destroy() })
  }).on('error', fail(48)).listen(listen, '127.0.0.1')
})
process.on('SIGTERM', () => process.exit(0))
`

export interface ScriptedMongod extends AsyncDisposable {
  /** The program, for HOLDFAST_MONGOD, HOLDFAST_TEST_MONGOD or PATH. */
  readonly program: string
  /** Those it runs now, and those that have ended. */
  readonly servers: readonly ScriptedMongo[]
  /** The user it was started as last. */
  readonly uid: number | undefined
}

interface Start {
  readonly args: readonly string[]
  readonly uid: number
}

/**
 * A program with the arguments of mongod that is a scripted server: for what starts a mongod by itself. It refuses arguments mongod does not
 * have, a missing data folder, and a port that is taken, as mongod does.
 */
export async function makeScriptedMongod(options: ScriptedMongoOptions = {}): Promise<ScriptedMongod> {
  const { version = '7.0.18' } = options
  const folder = serverFolder('scripted-mongod')
  const servers: ScriptedMongo[] = []
  let uid: number | undefined
  const run = async (socket: Socket): Promise<void> => {
    const start = JSON.parse(await text(socket)) as Start
    uid = start.uid
    const asked = readArguments(start.args)
    if (typeof asked === 'string') {
      socket.end(`${JSON.stringify({ error: asked })}\n`)
      return
    }
    const set = asked.replSet === undefined ? {} : { replicaSet: asked.replSet, role: 'uninitiated' as const }
    const server = await startScriptedMongo({ ...options, version, ...set, knownPort: asked.port })
    servers.push(server)
    socket.once('close', () => void server.stop())
    socket.write(`${JSON.stringify({ port: server.port, listen: asked.port })}\n`)
  }
  const sockets = new Set<Socket>()
  const hub = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket.on('error', () => undefined).once('close', () => sockets.delete(socket)))
    run(socket).catch((error: Error) => socket.end(`${JSON.stringify({ error: error.message })}\n`))
  })
  await new Promise<void>((resolve) => hub.listen(0, '127.0.0.1', resolve))
  const { port } = hub.address() as { readonly port: number }
  const script = join(folder, 'mongod.mjs')
  const program = join(folder, 'mongod')
  writeFileSync(script, PROGRAM, { mode: 0o644 })
  writeFileSync(program, `#!/bin/sh\nexec "${process.execPath}" "${script}" ${port} ${version} "$@"\n`, { mode: 0o755 })
  return {
    program,
    servers,
    get uid() {
      return uid
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      for (const server of servers) await server.stop()
      await new Promise((resolve) => hub.close(resolve))
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

interface MongodArguments {
  readonly port: number
  readonly replSet: string | undefined
}

/** What mongod would make of its arguments; as text why it would not start. */
function readArguments(args: readonly string[]): MongodArguments | string {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        dbpath: { type: 'string' },
        port: { type: 'string', default: '27017' },
        bind_ip: { type: 'string' },
        replSet: { type: 'string' },
        unixSocketPrefix: { type: 'string' },
        nounixsocket: { type: 'boolean' },
        noauth: { type: 'boolean' },
        quiet: { type: 'boolean' },
        logpath: { type: 'string' },
        oplogSize: { type: 'string' },
        wiredTigerCacheSizeGB: { type: 'string' },
        setParameter: { type: 'string', multiple: true },
      },
    })
    const { dbpath = '/data/db', port, replSet, setParameter = [] } = values
    if (statSync(dbpath, { throwIfNoEntry: false })?.isDirectory() !== true) return `Data directory ${dbpath} not found`
    const odd = setParameter.find((one) => !/^\w+=.+$/.test(one))
    return odd === undefined ? { port: Number(port), replSet } : `Illegal --setParameter: ${odd}`
  } catch (error) {
    return `Error parsing command line: ${(error as Error).message}`
  }
}
