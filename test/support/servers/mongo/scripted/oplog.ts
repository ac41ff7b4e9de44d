import type { Binary } from 'mongodb'
import { doc, encode } from './bson.ts'
import { Collection } from './collection.ts'
import { type ClusterClock, toTimestamp } from './timestamps.ts'

/** What an entry says besides its time. */
export interface OplogOperation {
  readonly op: 'i' | 'u' | 'd' | 'c' | 'n'
  readonly ns: string
  readonly ui?: Binary | undefined
  readonly o: Buffer
  readonly o2?: Buffer | undefined
  readonly b?: boolean | undefined
  /** Further fields before `ts`: lsid, txnNumber, stmtId, prevOpTime. */
  readonly more?: Readonly<Record<string, unknown>>
}

const DEFAULT_BYTES = 1024 ** 3

/** `local.oplog.rs`: a capped collection whose entries are ordered by `ts`. */
export class Oplog {
  readonly collection: Collection
  readonly #clock: ClusterClock
  /** Of the election that made this member the primary. */
  term = 1n

  constructor(clock: ClusterClock, sizeBytes: number = DEFAULT_BYTES) {
    this.#clock = clock
    this.collection = new Collection({
      db: 'local',
      name: 'oplog.rs',
      options: doc({ capped: true, size: sizeBytes, autoIndexId: false }),
      at: 0n,
      idField: 'ts',
    })
  }

  /** Records an operation that happened at `time`, which must be later than the entry before. */
  append(operation: OplogOperation, time: bigint): void {
    this.appendRaw(this.entry(operation, time), time)
  }

  /** Puts an entry there that a test has written. */
  appendRaw(entry: Buffer, time: bigint): void {
    this.#clock.advance(time)
    this.collection.insert(entry, time)
  }

  entry({ op, ns, ui, o, o2, b, more = {} }: OplogOperation, time: bigint): Buffer {
    return doc([
      ...Object.entries(more),
      ['op', op],
      ['ns', ns],
      ['ui', ui],
      ['o', o],
      ['o2', o2],
      ['b', b],
      ['ts', toTimestamp(time)],
      ['t', encode(this.term)],
      ['v', encode(2n)],
      ['wall', this.#clock.wall()],
    ])
  }

  /** Forgets the oldest entries, as when the oplog is full. */
  rollOver(keep: number): void {
    const entries = [...this.collection.scan('natural')]
    for (const entry of entries.slice(0, Math.max(0, entries.length - keep))) this.collection.remove(entry, entry.from)
  }
}
