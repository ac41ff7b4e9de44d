import { HoldfastError } from '../../../lib/errors.ts'
import { field } from '../bson/raw.ts'
import type { TypedDocument } from '../bson/typed.ts'
import type { CollectionType } from '../catalog.ts'
import { applyUpdate } from './diff.ts'

/** What becomes of one document: its last state, or changes of a state that only the copy has. */
type Fate =
  | { readonly kind: 'is'; readonly document: Buffer }
  | { readonly kind: 'gone' }
  | { readonly kind: 'changed'; readonly updates: readonly Buffer[] }

/** Takes count of the bytes that are held. @throws HoldfastError when they are too many */
export type Hold = (bytes: number) => void

/** A collection as it is at the end of a stretch of the oplog: its definition, and what differs from its copy. */
export class FoldedCollection {
  readonly type: CollectionType
  options: TypedDocument
  /** By name. */
  readonly indexes: Map<string, TypedDocument>
  readonly uuid: string | undefined
  /** The namespace under which its documents were copied; undefined: none of the copy count. */
  base: string | undefined
  readonly #fates = new Map<string, Fate>()
  readonly #hold: Hold

  constructor(definition: Pick<FoldedCollection, 'type' | 'options' | 'indexes' | 'uuid' | 'base'>, hold: Hold) {
    this.type = definition.type
    this.options = definition.options
    this.indexes = definition.indexes
    this.uuid = definition.uuid
    this.base = definition.base
    this.#hold = hold
  }

  /** Whether anything differs from the copy. */
  get isTouched(): boolean {
    return this.#fates.size > 0
  }

  /** The same documents under another definition. */
  insert(document: Buffer): void {
    this.#set(idOf(document), { kind: 'is', document })
  }

  update(id: Buffer, update: Buffer): void {
    const key = id.toString('latin1')
    const fate = this.#fates.get(key)
    // Of a document that is gone: nothing is known of which it could be an update.
    if (fate?.kind === 'gone') return
    if (field(update, '$v') === undefined) this.#set(key, { kind: 'is', document: update })
    else if (fate?.kind === 'is') this.#set(key, { kind: 'is', document: applyUpdate(fate.document, update) })
    else this.#set(key, { kind: 'changed', updates: [...(fate?.updates ?? []), update] })
  }

  remove(id: Buffer): void {
    this.#set(id.toString('latin1'), { kind: 'gone' })
  }

  /** As after `emptycapped`. */
  clear(): void {
    this.base = undefined
    this.#fates.clear()
  }

  /** The final state of a document of the copy; undefined when it is gone, or was given before. */
  finalState(document: Buffer): Buffer | undefined {
    if (this.#fates.size === 0) return document
    const key = idOf(document)
    const fate = this.#fates.get(key)
    if (fate === undefined) return document
    if (fate.kind === 'gone') return undefined
    this.#fates.set(key, { kind: 'gone' })
    return fate.kind === 'is' ? fate.document : fate.updates.reduce(applyUpdate, document)
  }

  /** Documents the copy did not have. Afterwards there are none. */
  *rest(): Generator<Buffer> {
    for (const fate of this.#fates.values()) if (fate.kind === 'is') yield fate.document
  }

  /** Updates of documents that are neither in the copy nor in the oplog: something is missing. Capped collections drop documents silently. */
  get orphans(): number {
    if (this.options.get('capped') === true) return 0
    let count = 0
    for (const { kind } of this.#fates.values()) if (kind === 'changed') count++
    return count
  }

  #set(key: string, fate: Fate): void {
    const bytes = fate.kind === 'is' ? fate.document.length : fate.kind === 'changed' ? fate.updates.at(-1)!.length : 0
    this.#hold(bytes + (this.#fates.has(key) ? 0 : key.length))
    this.#fates.set(key, fate)
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
