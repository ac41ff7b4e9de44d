import { Binary, ObjectId } from 'mongodb'
import { doc, encode } from './bson.ts'
import type { Datastore } from './datastore.ts'
import { toTimestamp } from './timestamps.ts'

/** What a server is: alone, a member of a replica set in some role, or a router of a sharded cluster. */
export type Role = 'standalone' | 'uninitiated' | 'primary' | 'secondary' | 'arbiter' | 'recovering' | 'mongos'

export interface OpTime {
  readonly ts: unknown
  readonly t: unknown
}

/** A member under its name in the set. */
export interface Peer {
  /** `host:port` */
  readonly host: string
  readonly member: Member
}

/** The part a server plays among others. */
export class Member {
  readonly setName: string | undefined
  isHidden = false
  /** How far it says it is behind, although it shows everything at once. */
  lagMs = 0
  /** All members of the set, in the order of its configuration; filled by those who start them. */
  readonly #peers: Peer[]
  /** Entries later than this are not majority-committed; undefined while all are. */
  majorityUntil: bigint | undefined
  readonly configVersion = 1
  readonly replicaSetId: ObjectId = new ObjectId()
  readonly electionId: ObjectId = new ObjectId('7fffffff0000000000000001')
  readonly processId: ObjectId = new ObjectId()
  readonly startedAt: Date = new Date()
  readonly #data: Datastore
  #role: Role
  #changes = 0n
  #waiting: (() => void)[] = []

  constructor(data: Datastore, setName: string | undefined, role: Role, peers: Peer[] = []) {
    this.#data = data
    this.setName = setName
    this.#role = role
    this.#peers = peers
  }

  /** Makes it known to the others of its set. */
  join(host: string): void {
    this.#peers.push({ host, member: this })
  }

  peers(): readonly Peer[] {
    return this.#peers
  }

  get role(): Role {
    return this.#role
  }

  get isWritable(): boolean {
    return this.role === 'primary' || this.role === 'standalone' || this.role === 'mongos'
  }

  /** The time of the last write, of which all members of a majority know when `majority` is set. */
  opTime(majority = false): OpTime {
    const { clock, oplog } = this.#data
    const last = majority && this.majorityUntil !== undefined ? this.majorityUntil : clock.last
    return { ts: toTimestamp(last), t: encode(oplog?.term ?? -1n) }
  }

  /** The latest time at which a snapshot can be read. */
  get majorityTime(): bigint {
    return this.majorityUntil ?? this.#data.clock.last
  }

  /** Fields about the set in the reply to `hello`. */
  greeting(me: string): Readonly<Record<string, unknown>> {
    const { role, setName } = this
    if (role === 'mongos') return { isWritablePrimary: true, msg: 'isdbgrid' }
    if (setName === undefined) return { isWritablePrimary: true }
    if (role === 'uninitiated') {
      return {
        isWritablePrimary: false,
        secondary: false,
        info: 'Does not have a valid replica set config',
        isreplicaset: true,
      }
    }
    const last = this.opTime()
    const majority = this.opTime(true)
    const hosts = this.#peers
      .filter(({ member }) => member.role !== 'arbiter' && !member.isHidden)
      .map(({ host }) => host)
    const arbiters = this.#peers.filter(({ member }) => member.role === 'arbiter').map(({ host }) => host)
    const primary = this.#peers.find(({ member }) => member.role === 'primary')?.host
    const date = new Date(this.#data.clock.wall().getTime() - this.lagMs)
    return {
      hosts,
      ...(arbiters.length > 0 && { arbiters }),
      ...(role === 'arbiter' && { arbiterOnly: true }),
      setName,
      setVersion: this.configVersion,
      isWritablePrimary: role === 'primary',
      secondary: role === 'secondary',
      ...(this.isHidden && { hidden: true, passive: true }),
      ...(primary !== undefined && { primary }),
      ...(role === 'primary' && { electionId: this.electionId }),
      me,
      lastWrite: doc({
        opTime: { ...last },
        lastWriteDate: date,
        majorityOpTime: { ...majority },
        majorityWriteDate: date,
      }),
    }
  }

  /** Grows when the role changes, which clients heed. */
  topologyVersion(): Readonly<Record<string, unknown>> {
    return { processId: this.processId, counter: encode(this.#changes) }
  }

  /** Gives it another role, as an election does. */
  become(role: Role): void {
    this.#role = role
    this.#changes++
    for (const wake of [...this.#waiting]) wake()
  }

  /** Waits as long as a client knows all changes, at most `ms`. */
  async changedSince(known: bigint, ms: number, signal: AbortSignal): Promise<void> {
    if (known !== this.#changes) return
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', done)
        this.#waiting = this.#waiting.filter((wake) => wake !== done)
        resolve()
      }
      const timer = setTimeout(done, ms)
      signal.addEventListener('abort', done)
      this.#waiting.push(done)
    })
  }

  /** What replies of members of a set say about time. */
  gossip(): Readonly<Record<string, unknown>> {
    if (this.setName === undefined) return {}
    const now = toTimestamp(this.#data.clock.last)
    const signature = { hash: new Binary(Buffer.alloc(20)), keyId: encode(0n) }
    return { $clusterTime: { clusterTime: now, signature }, operationTime: now }
  }
}
