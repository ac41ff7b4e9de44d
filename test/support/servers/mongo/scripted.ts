import type { AddressInfo } from 'node:net'
import { createServer, type Server as NetServer } from 'node:net'
import { Connection } from './scripted/connection.ts'
import type { Server, SnapshotHistory } from './scripted/context.ts'
import { Cursors } from './scripted/cursors.ts'
import { Datastore } from './scripted/datastore.ts'
import { type Fault, Faults } from './scripted/faults.ts'
import { Member, type Role } from './scripted/member.ts'
import { ServerVersion } from './scripted/version.ts'

export interface ScriptedMongoOptions {
  /** What it says it is: 6.0, 7.0, 8.0 or 8.2, with a patch. */
  readonly version?: string
  /** The name of the replica set it is a member of; alone by default. */
  readonly replicaSet?: string
  readonly role?: Role
  /** How large its oplog may grow. */
  readonly oplogBytes?: number
  /** Idle cursors are gone after this. */
  readonly cursorTimeoutMs?: number
  /** How far back snapshots may read. */
  readonly snapshotWindowSeconds?: number
  readonly faults?: readonly Fault[]
}

const CURSOR_TIMEOUT_MS = 10 * 60 * 1000
const SNAPSHOT_WINDOW_SECONDS = 300

/**
 * A server that speaks MongoDB's wire protocol and keeps everything in memory, for what needs a script: options that other servers drop, an
 * oplog, elections, errors at a chosen command. It proves our side of a conversation, never MongoDB's.
 */
export async function startScriptedMongo(options: ScriptedMongoOptions = {}): Promise<ScriptedMongo> {
  const { version = '7.0.18', replicaSet, cursorTimeoutMs = CURSOR_TIMEOUT_MS, oplogBytes } = options
  const role = options.role ?? (replicaSet === undefined ? 'standalone' : 'primary')
  const data = new Datastore({ isReplicated: replicaSet !== undefined, oplogBytes })
  const faults = new Faults()
  for (const fault of options.faults ?? []) faults.add(fault)
  const net = createServer()
  await new Promise<void>((resolve, reject) => net.once('error', reject).listen(0, '127.0.0.1', resolve))
  const server: Server = {
    version: new ServerVersion(version),
    data,
    cursors: new Cursors(cursorTimeoutMs),
    member: new Member(data, replicaSet, role),
    port: (net.address() as AddressInfo).port,
    snapshots: { windowSeconds: options.snapshotWindowSeconds ?? SNAPSHOT_WINDOW_SECONDS, oldest: 0n },
  }
  return new ScriptedMongo(net, server, faults)
}

/** A running scripted server, and the strings to pull. */
export class ScriptedMongo implements AsyncDisposable {
  readonly port: number
  readonly url: string
  readonly faults: Faults
  readonly data: Datastore
  readonly member: Member
  readonly #net: NetServer
  readonly #server: Server
  readonly #connections = new Set<Connection>()
  #connectionId = 0

  constructor(net: NetServer, server: Server, faults: Faults) {
    this.#net = net
    this.#server = server
    this.faults = faults
    this.data = server.data
    this.member = server.member
    this.port = server.port
    const set = server.member.setName
    this.url = `mongodb://127.0.0.1:${server.port}/?directConnection=true${set === undefined ? '' : `&replicaSet=${set}`}`
    net.on('connection', (socket) => {
      const connection = new Connection(socket, server, faults, ++this.#connectionId)
      this.#connections.add(connection)
      socket.once('close', () => this.#connections.delete(connection))
    })
  }

  get snapshots(): SnapshotHistory {
    return this.#server.snapshots
  }

  /** Makes all snapshots that are open too old. */
  expireSnapshots(): void {
    this.snapshots.oldest = this.data.clock.next()
  }

  /** Kills cursors as an operator does; all, or those of a namespace. */
  killCursors(ns?: string): void {
    this.#server.cursors.closeAll(ns)
  }

  get openCursors(): number {
    return this.#server.cursors.count
  }

  /** Cuts all connections. */
  disconnect(): void {
    for (const connection of this.#connections) connection.close()
  }

  async stop(): Promise<void> {
    this.disconnect()
    await new Promise<void>((resolve) => this.#net.close(() => resolve()))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}
