import { HoldfastError } from '../../../lib/errors.ts'
import { field } from '../bson/raw.ts'
import type { TypedDocument } from '../bson/typed.ts'
import type { CollectionType } from '../catalog.ts'
import { applyUpdate } from './diff.ts'
import { type Fate, followed } from './fate.ts'
import type { FateStore } from './fate-store.ts'

/** A collection as it is at the end of a stretch of the oplog: its definition, and what differs from its copy. */
export class FoldedCollection {
  readonly type: CollectionType
  options: TypedDocument
  /** By name. */
  readonly indexes: Map<string, TypedDocument>
  readonly uuid: string | undefined
  /** The namespace under which its documents were copied; undefined: none of the copy count. */
  base: string | undefined
  /** What happened since the last move to disk. */
  #fates = new Map<string, Fate>()
  /** What happened before; undefined when nothing was moved. */
  #stored: { readonly store: FateStore; readonly number: number } | undefined
  #orphans = 0

  constructor(definition: Pick<FoldedCollection, 'type' | 'options' | 'indexes' | 'uuid' | 'base'>) {
    this.type = definition.type
    this.options = definition.options
    this.indexes = definition.indexes
    this.uuid = definition.uuid
    this.base = definition.base
  }

  /** Whether anything differs from the copy. */
  get isTouched(): boolean {
    return this.#fates.size > 0 || this.#stored !== undefined
  }

  /** Moves what is in memory to disk. `number` tells this collection from all others of the store. */
  store(store: FateStore, number: number): void {
    if (this.#fates.size === 0) return
    this.#stored ??= { store, number }
    this.#stored.store.add(this.#stored.number, this.#fates)
    this.#fates = new Map()
  }

  insert(document: Buffer): void {
    this.#fates.set(idOf(document), { kind: 'is', document })
  }

  update(id: Buffer, update: Buffer): void {
    const next: Fate =
      field(update, '$v') === undefined ? { kind: 'is', document: update } : { kind: 'changed', updates: [update] }
    const key = id.toString('latin1')
    this.#fates.set(key, followed(this.#fates.get(key), next))
  }

  remove(id: Buffer): void {
    this.#fates.set(id.toString('latin1'), { kind: 'gone' })
  }

  /** As after `emptycapped`. */
  clear(): void {
    this.base = undefined
    this.#fates.clear()
    this.#stored?.store.clear(this.#stored.number)
  }

  /** The final state of a document of the copy; undefined when it is gone, or was given before. */
  finalState(document: Buffer): Buffer | undefined {
    if (!this.isTouched) return document
    const key = idOf(document)
    const fate = this.#latest(key, this.#stored?.store.take(this.#stored.number, key))
    if (fate === undefined) return document
    if (this.#fates.has(key)) this.#fates.set(key, { kind: 'gone' })
    if (fate.kind === 'gone') return undefined
    return fate.kind === 'is' ? fate.document : fate.updates.reduce(applyUpdate, document)
  }

  /** Documents the copy did not have, in the order in which they were made. To be called once, behind the last of the copy. */
  *rest(): Generator<Buffer> {
    const fates = this.#fates
    const stored = this.#stored?.store.rest(this.#stored.number) ?? []
    for (const [key, before] of stored) {
      const fate = this.#latest(key, before)!
      fates.delete(key)
      if (fate.kind === 'is') yield fate.document
      else if (fate.kind === 'changed') this.#orphans++
    }
    for (const fate of fates.values())
      if (fate.kind === 'is') yield fate.document
      else if (fate.kind === 'changed') this.#orphans++
  }

  /**
   * Updates of documents that are neither in the copy nor in the oplog, known behind the last of the rest: something is missing. Capped
   * collections drop documents silently.
   */
  get orphans(): number {
    return this.options.get('capped') === true ? 0 : this.#orphans
  }

  #latest(key: string, before: Fate | undefined): Fate | undefined {
    const fate = this.#fates.get(key)
    return fate === undefined ? before : followed(before, fate)
  }
}

/** What tells a document from all others of its collection: type and bytes of its `_id`. */
function idOf(document: Buffer): string {
  const id = field(document, '_id')
  if (id === undefined) throw new HoldfastError('HF_DATA_DAMAGED', 'a document has no _id')
  return keyOf(id.type, id.bytes).toString('latin1')
}

/** The key of the `_id` of `{ _id: … }`, as in `o` of a deletion and `o2` of an update. */
export function idKey(document: Buffer): Buffer {
  const id = field(document, '_id')
  if (id === undefined) throw new HoldfastError('HF_DATA_DAMAGED', 'the oplog has a change of a document without _id')
  return keyOf(id.type, id.bytes)
}

const keyOf = (type: number, bytes: Buffer): Buffer => Buffer.concat([Buffer.from([type]), bytes])
