import { readFileSync } from 'node:fs'
import { type AddressInfo, createServer, type Server as NetServer } from 'node:net'
import { createServer as createTlsServer, Server as TlsServer } from 'node:tls'
import { doc, encode } from './scripted/bson.ts'
import { Connection } from './scripted/connection.ts'
import type { Server, SnapshotHistory } from './scripted/context.ts'
import { Cursors } from './scripted/cursors.ts'
import { Datastore } from './scripted/datastore.ts'
import { type Fault, Faults } from './scripted/faults.ts'
import { Member, type Peer, type Role } from './scripted/member.ts'
import { seed } from './scripted/seed.ts'
import { Transaction, Transactions } from './scripted/transactions.ts'
import { Users } from './scripted/users.ts'
import { newUuid } from './scripted/uuid.ts'
import { ServerVersion } from './scripted/version.ts'

export interface ScriptedMongoOptions {
  /** What it says it is: 6.0, 7.0, 8.0 or 8.2, with a patch. */
  readonly version?: string
  /** The name of the replica set it is a member of; alone by default. */
  readonly replicaSet?: string
  readonly role?: Role
  readonly isHidden?: boolean
  /** Clients have to log in, and this is who may do everything. */
  readonly auth?: { readonly user: string; readonly password: string }
  /** How large its oplog may grow. */
  readonly oplogBytes?: number
  /** An idle primary writes a no-op this often, as servers do every 10 seconds. */
  readonly noopIntervalMs?: number
  /** How far back snapshots may read. */
  readonly snapshotWindowSeconds?: number
  /** Serve TLS, and TLS only: paths of PEM files. With `ca`, clients must show a certificate of that authority. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca?: string }
  readonly faults?: readonly Fault[]
  /** The port it is known by in its set, when clients reach it by another one than its own. */
  readonly knownPort?: number
  /** Be another member of the set of this one: with the same data, and a role of its own. */
  readonly memberOf?: ScriptedMongo
}

const SNAPSHOT_WINDOW_SECONDS = 300
const NOOP_INTERVAL_MS = 10_000

/**
 * A server that speaks MongoDB's wire protocol and keeps everything in memory, for what needs a script: options that other servers drop, an
 * oplog, elections, errors at a chosen command. It proves our side of a conversation, never MongoDB's.
 */
export async function startScriptedMongo(options: ScriptedMongoOptions = {}): Promise<ScriptedMongo> {
  const { memberOf, auth, oplogBytes, noopIntervalMs = NOOP_INTERVAL_MS } = options
  const first = memberOf?.inside
  const version = first?.version ?? new ServerVersion(options.version ?? '7.0.18')
  const setName = first?.member.setName ?? options.replicaSet
  const role = options.role ?? (first !== undefined ? 'secondary' : setName === undefined ? 'standalone' : 'primary')
  const data = first?.data ?? new Datastore({ isReplicated: setName !== undefined, oplogBytes })
  const users = first?.users ?? new Users(data)
  if (first === undefined) seed(data, version)
  if (auth !== undefined) users.create('admin', auth.user, auth.password, [{ role: 'root', db: 'admin' }])
  const faults = new Faults()
  for (const fault of options.faults ?? []) faults.add(fault)
  const net = options.tls === undefined ? createServer() : tlsServer(options.tls)
  await new Promise<void>((resolve, reject) => net.once('error', reject).listen(0, '127.0.0.1', resolve))
  const { port } = net.address() as AddressInfo
  const member = new Member(data, setName, role, (first?.member.peers() ?? []) as Peer[])
  member.isHidden = options.isHidden ?? false
  member.join(`127.0.0.1:${options.knownPort ?? port}`)
  const server: Server = {
    version,
    data,
    cursors: new Cursors(),
    member,
    port,
    snapshots: { windowSeconds: options.snapshotWindowSeconds ?? SNAPSHOT_WINDOW_SECONDS, oldest: 0n },
    users,
    transactions: new Transactions(() => server),
    needsLogin: first?.needsLogin ?? auth !== undefined,
  }
  return new ScriptedMongo(net, server, faults, { auth, noopIntervalMs })
}

function tlsServer({ cert, key, ca }: NonNullable<ScriptedMongoOptions['tls']>): NetServer {
  const server = createTlsServer({
    cert: readFileSync(cert),
    key: readFileSync(key),
    ...(ca !== undefined && { ca: readFileSync(ca), requestCert: true, rejectUnauthorized: true }),
  })
  // Of clients that do not trust it.
  server.on('tlsClientError', () => undefined)
  return server
}

/** A running scripted server, and the strings to pull. */
export class ScriptedMongo implements AsyncDisposable {
  readonly port: number
  /** For this server alone, whatever its role; with user and password when it wants them. */
  readonly url: string
  readonly faults: Faults
  readonly data: Datastore
  readonly users: Users
  /** What the commands work on, for another member of the set. */
  readonly inside: Server
  readonly #net: NetServer
  readonly #connections = new Set<Connection>()
  readonly #noops: NodeJS.Timeout | undefined
  #connectionId = 0
  #transactionNumber = 0n

  constructor(
    net: NetServer,
    server: Server,
    faults: Faults,
    { auth, noopIntervalMs }: { readonly auth: ScriptedMongoOptions['auth']; readonly noopIntervalMs: number },
  ) {
    this.#net = net
    this.inside = server
    this.faults = faults
    this.data = server.data
    this.users = server.users
    this.port = server.port
    const login = auth === undefined ? '' : `${encodeURIComponent(auth.user)}:${encodeURIComponent(auth.password)}@`
    this.url = `mongodb://${login}127.0.0.1:${server.port}/?directConnection=true`
    net.on(net instanceof TlsServer ? 'secureConnection' : 'connection', (socket) => {
      const connection = new Connection(socket, server, faults, ++this.#connectionId)
      this.#connections.add(connection)
      socket.once('close', () => this.#connections.delete(connection))
    })
    if (server.data.oplog !== undefined) this.#noops = setInterval(() => this.#noop(), noopIntervalMs).unref()
  }

  /** For all members of the set; of a server that is alone, its URL. */
  get setUrl(): string {
    const { member } = this.inside
    if (member.setName === undefined) return this.url
    const hosts = member.peers().filter((peer) => !peer.member.isHidden && peer.member.role !== 'arbiter')
    return this.url.replace(/[^/@]*\/\?.*/, `${hosts.map(({ host }) => host).join()}/?replicaSet=${member.setName}`)
  }

  get member(): Member {
    return this.inside.member
  }

  get snapshots(): SnapshotHistory {
    return this.inside.snapshots
  }

  get openCursors(): number {
    return this.inside.cursors.count
  }

  /** Begins a transaction of its own session, as a client elsewhere would. */
  beginTransaction(): Transaction {
    const lsid = doc({ id: newUuid() })
    return new Transaction(this.inside, { lsid, txnNumber: ++this.#transactionNumber })
  }

  /** Makes all snapshots that are open too old. */
  expireSnapshots(): void {
    this.snapshots.oldest = this.data.clock.next()
  }

  /** Kills cursors as an operator does; all, or those of a namespace. */
  killCursors(ns?: string): void {
    this.inside.cursors.closeAll(ns)
  }

  /** Makes all cursors idle for this much longer; they are gone after ten minutes. */
  leaveCursorsIdle(ms: number): void {
    this.inside.cursors.leaveIdle(ms)
  }

  /** Gives the server another role, in the middle of everything; a new primary writes so into the oplog, in a new term. */
  elect(role: Role): void {
    this.member.become(role)
    const { oplog } = this.data
    if (role !== 'primary' || oplog === undefined) return
    oplog.term++
    this.data.log({ op: 'n', ns: '', o: doc({ msg: 'new primary' }) })
  }

  /** Cuts all connections. */
  disconnect(): void {
    for (const connection of this.#connections) connection.close()
  }

  async stop(): Promise<void> {
    clearInterval(this.#noops)
    this.disconnect()
    await new Promise<void>((resolve) => this.#net.close(() => resolve()))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  #noop(): void {
    if (this.member.role === 'primary') this.data.log({ op: 'n', ns: '', o: doc({ msg: 'periodic noop' }) })
  }
}

/** For documents that a test puts into the oplog or a transaction. */
export { doc, encode }
