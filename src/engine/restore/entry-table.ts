import type { ByteString } from '../repository/tree/node.ts'

/** What an entry is; `link` is a further name of a file that another entry brings back. */
export type EntryKind = 'dir' | 'file' | 'symlink' | 'dev' | 'chardev' | 'fifo' | 'link'

/**
 * What is done about an entry:
 * - `create`: nothing is in its place (a directory: is made unless it is there)
 * - `replace`: what is in its place is removed first
 * - `update`: the parts of the file that differ are written into it
 * - `adjust`: only its attributes are set, the content is right
 * - `skip`: it is left alone
 */
export type EntryAction = 'create' | 'replace' | 'update' | 'adjust' | 'skip'

const kinds: readonly EntryKind[] = ['dir', 'file', 'symlink', 'dev', 'chardev', 'fifo', 'link']
const actions: readonly EntryAction[] = ['create', 'replace', 'update', 'adjust', 'skip']
const kindNumbers = new Map(kinds.map((kind, number) => [kind, number]))
const actionNumbers = new Map(actions.map((action, number) => [action, number]))

/** The directory everything is restored to: its attributes are left alone. */
export const ROOT = 0

/** The columns of a table, on shared memory: any thread reads the same bytes. One element per entry, unless said otherwise. */
export interface EntryMemory {
  readonly count: number
  /** Entry of the directory it lies in. */
  readonly parent: Uint32Array
  /** Where its name ends in `names`; it begins where that of the entry before it ends. */
  readonly nameEnd: Uint32Array
  readonly kind: Uint8Array
  readonly action: Uint8Array
  /** Permission bits of chmod(2). */
  readonly mode: Uint16Array
  readonly uid: Uint32Array
  readonly gid: Uint32Array
  readonly modifiedSeconds: Float64Array
  readonly modifiedNanoseconds: Uint32Array
  readonly accessedSeconds: Float64Array
  readonly accessedNanoseconds: Uint32Array
  /** Bytes of a file; the device number of a device; the entry that brings the content of a `link`. */
  readonly number: Float64Array
  /** Where its blobs end in the list of rows; they begin where those of the entry before it end. */
  readonly contentEnd: Uint32Array
  /** 0, or 1 + where more about it begins in `extras`. */
  readonly extra: Uint32Array
  /** The bytes of all names. */
  readonly names: Uint8Array
  /** What few entries have: link targets and extended attributes. */
  readonly extras: Uint8Array
}

/** Fields of a new entry. */
export interface EntryFields {
  readonly parent: number
  readonly name: ByteString
  readonly kind: EntryKind
  readonly action: EntryAction
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly modified: { readonly seconds: number; readonly nanoseconds: number }
  readonly accessed: { readonly seconds: number; readonly nanoseconds: number }
  readonly number: number
  readonly contentEnd: number
  readonly linkTarget: ByteString
  readonly extendedAttributes: readonly { readonly name: ByteString; readonly value: Uint8Array | null }[]
}

/** What few entries have. */
export interface EntryExtra {
  readonly linkTarget: Uint8Array
  readonly extendedAttributes: readonly { readonly name: ByteString; readonly value: Uint8Array }[]
}

const noExtra: EntryExtra = { linkTarget: new Uint8Array(), extendedAttributes: [] }

/** Everything a restore puts into the target, parents before children, in the order of the snapshot. */
export class EntryTable {
  readonly memory: EntryMemory

  constructor(memory: EntryMemory) {
    this.memory = memory
  }

  get count(): number {
    return this.memory.count
  }

  kind(entry: number): EntryKind {
    return kinds[this.memory.kind[entry]!]!
  }

  action(entry: number): EntryAction {
    return actions[this.memory.action[entry]!]!
  }

  /** Decides anew, for all threads. */
  setAction(entry: number, action: EntryAction): void {
    this.memory.action[entry] = actionNumbers.get(action)!
  }

  parent(entry: number): number {
    return this.memory.parent[entry]!
  }

  /** The name, in the table's own memory. */
  name(entry: number): Uint8Array {
    const { names, nameEnd } = this.memory
    return names.subarray(entry === 0 ? 0 : nameEnd[entry - 1]!, nameEnd[entry]!)
  }

  /** Path within what is restored, beginning with `/`. */
  path(entry: number): ByteString {
    let path = ''
    for (let at = entry; at !== ROOT; at = this.parent(at)) {
      const { names, nameEnd } = this.memory
      path = `/${Buffer.from(names.buffer, nameEnd[at - 1]!, nameEnd[at]! - nameEnd[at - 1]!).toString('latin1')}${path}`
    }
    return path === '' ? '/' : path
  }

  /** First of its blobs in the list of rows. */
  contentStart(entry: number): number {
    return entry === 0 ? 0 : this.memory.contentEnd[entry - 1]!
  }

  contentEnd(entry: number): number {
    return this.memory.contentEnd[entry]!
  }

  extra(entry: number): EntryExtra {
    const start = this.memory.extra[entry]!
    return start === 0 ? noExtra : readExtra(this.memory.extras, start - 1)
  }
}

/** Columns in the making. They lie on shared memory from the start, so that nothing has to be copied in the end. */
export class EntryTableBuilder {
  #memory: EntryMemory = allocate(1024, 16 * 1024, 0)
  #count = 0
  #extraBytes = 0

  get count(): number {
    return this.#count
  }

  append(fields: EntryFields): number {
    const entry = this.#count
    const nameStart = entry === 0 ? 0 : this.#memory.nameEnd[entry - 1]!
    this.#reserve(entry + 1, nameStart + fields.name.length)
    const m = this.#memory
    m.parent[entry] = fields.parent
    for (let i = 0; i < fields.name.length; i++) m.names[nameStart + i] = fields.name.charCodeAt(i)
    m.nameEnd[entry] = nameStart + fields.name.length
    m.kind[entry] = kindNumbers.get(fields.kind)!
    m.action[entry] = actionNumbers.get(fields.action)!
    m.mode[entry] = fields.mode
    m.uid[entry] = fields.uid
    m.gid[entry] = fields.gid
    m.modifiedSeconds[entry] = fields.modified.seconds
    m.modifiedNanoseconds[entry] = fields.modified.nanoseconds
    m.accessedSeconds[entry] = fields.accessed.seconds
    m.accessedNanoseconds[entry] = fields.accessed.nanoseconds
    m.number[entry] = fields.number
    m.contentEnd[entry] = fields.contentEnd
    m.extra[entry] = 0
    this.#count++
    if (fields.linkTarget !== '' || fields.extendedAttributes.length > 0) this.#appendExtra(entry, fields)
    return entry
  }

  /** Drops the entries from `count` on. */
  truncate(count: number): void {
    this.#count = count
  }

  build(): EntryTable {
    return new EntryTable({ ...this.#memory, count: this.#count })
  }

  #reserve(entries: number, nameBytes: number): void {
    const m = this.#memory
    if (entries <= m.parent.length && nameBytes <= m.names.length) return
    const larger = allocate(
      entries <= m.parent.length ? m.parent.length : m.parent.length * 2,
      Math.max(m.names.length, nameBytes <= m.names.length ? 0 : nameBytes * 2),
      m.extras.length,
    )
    for (const column of Object.keys(m) as (keyof EntryMemory)[]) {
      const from = m[column]
      const to = larger[column]
      if (typeof from !== 'number' && typeof to !== 'number') to.set(from)
    }
    this.#memory = larger
  }

  #appendExtra(entry: number, { linkTarget, extendedAttributes }: EntryFields): void {
    const bytes = writeExtra(linkTarget, extendedAttributes)
    const needed = this.#extraBytes + bytes.length
    if (needed > this.#memory.extras.length) {
      const extras = new Uint8Array(new SharedArrayBuffer(Math.max(needed * 2, 4096)))
      extras.set(this.#memory.extras.subarray(0, this.#extraBytes))
      this.#memory = { ...this.#memory, extras }
    }
    this.#memory.extras.set(bytes, this.#extraBytes)
    this.#memory.extra[entry] = this.#extraBytes + 1
    this.#extraBytes = needed
  }
}

function allocate(entries: number, nameBytes: number, extraBytes: number): EntryMemory {
  const shared = (bytes: number): SharedArrayBuffer => new SharedArrayBuffer(bytes)
  return {
    count: 0,
    parent: new Uint32Array(shared(entries * 4)),
    nameEnd: new Uint32Array(shared(entries * 4)),
    kind: new Uint8Array(shared(entries)),
    action: new Uint8Array(shared(entries)),
    mode: new Uint16Array(shared(entries * 2)),
    uid: new Uint32Array(shared(entries * 4)),
    gid: new Uint32Array(shared(entries * 4)),
    modifiedSeconds: new Float64Array(shared(entries * 8)),
    modifiedNanoseconds: new Uint32Array(shared(entries * 4)),
    accessedSeconds: new Float64Array(shared(entries * 8)),
    accessedNanoseconds: new Uint32Array(shared(entries * 4)),
    number: new Float64Array(shared(entries * 8)),
    contentEnd: new Uint32Array(shared(entries * 4)),
    extra: new Uint32Array(shared(entries * 4)),
    names: new Uint8Array(shared(nameBytes)),
    extras: new Uint8Array(shared(extraBytes)),
  }
}

/** Length and bytes of the link target, number of attributes, and of each: length of the name, of the value, the bytes of both. */
function writeExtra(linkTarget: ByteString, attributes: EntryFields['extendedAttributes']): Uint8Array {
  const target = Buffer.from(linkTarget, 'latin1')
  const parts: Uint8Array[] = [uint32(target.length), target, uint32(attributes.length)]
  for (const { name, value } of attributes) {
    const nameBytes = Buffer.from(name, 'latin1')
    const valueBytes = value ?? new Uint8Array()
    parts.push(uint32(nameBytes.length), uint32(valueBytes.length), nameBytes, valueBytes)
  }
  return Buffer.concat(parts)
}

function uint32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

function readExtra(extras: Uint8Array, start: number): EntryExtra {
  const view = new DataView(extras.buffer, extras.byteOffset)
  const targetEnd = start + 4 + view.getUint32(start, true)
  const linkTarget = extras.slice(start + 4, targetEnd)
  const extendedAttributes = []
  let at = targetEnd + 4
  for (let left = view.getUint32(targetEnd, true); left > 0; left--) {
    const nameEnd = at + 8 + view.getUint32(at, true)
    const valueEnd = nameEnd + view.getUint32(at + 4, true)
    extendedAttributes.push({
      name: Buffer.from(extras.slice(at + 8, nameEnd)).toString('latin1'),
      value: extras.slice(nameEnd, valueEnd),
    })
    at = valueEnd
  }
  return { linkTarget, extendedAttributes }
}
