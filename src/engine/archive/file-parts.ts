import { ID_BYTES } from '../../lib/id.ts'
import { copyBytes } from '../kernels/copy-bytes.ts'
import { MAX_CHUNK_BYTES } from '../kernels/rabin.ts'
import type { CutOutlet } from './cut-stream.ts'
import type { SavedBlobs, SavedPatches } from './saver/messages.ts'
import { applyChanges, type BlobPatch, type PatchBatch, PatchBatchBuilder, patchesOf } from './saver/patch-batch.ts'

/** A stretch of a file that is put together: blobs the repository has, bytes that become one blob, or a blob it has with changes. */
export type FilePart =
  | {
      readonly kind: 'stored'
      /** 32 bytes each, which have to stay as they are. */
      readonly ids: Uint8Array
      /** Of all of them together. */
      readonly size: number
    }
  /** Valid until the next part is asked for; at most MAX_CHUNK_BYTES. */
  | { readonly kind: 'blob'; readonly bytes: Uint8Array }
  | PatchedPart

/** Opened and changed on a thread. Everything is valid until the next part is asked for. */
export interface PatchedPart extends BlobPatch {
  readonly kind: 'patched'
  /** The old blob from elsewhere, when what was handed over does not open. What it throws, the file fails with. */
  readonly reload: () => Promise<Uint8Array>
  /** Called when it is saved, with the CRC-32C register of the difference at the end of the new blob, without initial value. */
  readonly onPatched: (difference: number) => void
}

/** Where batches go. `batch()` is shared memory for either kind. */
export interface PartOutlet extends CutOutlet {
  sendPatches(patches: PatchBatchBuilder, parts: readonly PatchedPart[]): Promise<void>
}

/** Stored ids, or how many new ones follow, in turn. */
export type PartRuns = readonly (Uint8Array | number)[]

/** Sends the new blobs of a file off in batches, in order. */
export async function gatherParts(
  parts: AsyncIterable<FilePart>,
  outlet: PartOutlet,
): Promise<{ readonly runs: PartRuns; readonly size: number }> {
  const runs: (Uint8Array | number)[] = []
  const cut = new CutBatch(outlet)
  const patches = new Patches(outlet)
  let size = 0
  const addNew = (length: number): void => {
    size += length
    const last = runs.at(-1)
    if (typeof last === 'number') runs[runs.length - 1] = last + 1
    else runs.push(1)
  }
  for await (const part of parts)
    if (part.kind === 'stored') {
      size += part.size
      runs.push(part.ids)
    } else if (part.kind === 'blob') {
      await patches.send()
      await cut.add(part.bytes)
      addNew(part.bytes.length)
    } else {
      await cut.send()
      await patches.add(part)
      addNew(part.size)
    }
  await cut.send()
  await patches.send()
  return { runs, size }
}

/** Puts new ids where the runs of stored ones leave room for them. */
export function mixed(runs: PartRuns, newIds: Uint8Array): Uint8Array {
  let at = 0
  return Buffer.concat(
    runs.map((run) => {
      if (typeof run !== 'number') return run
      const ids = newIds.subarray(at, at + run * ID_BYTES)
      at += ids.length
      return ids
    }),
  )
}

/** What a batch of patches came to, with those that failed made of what `reload` brings, and every part told. */
export async function withMended(
  { content, differences, failed }: SavedPatches,
  batch: PatchBatch,
  parts: readonly PatchedPart[],
  save: (bytes: Uint8Array) => Promise<SavedBlobs>,
): Promise<SavedBlobs> {
  if (!failed.includes(1)) {
    for (const [i, { onPatched }] of parts.entries()) onPatched(differences[i]!)
    return content
  }
  const ids = new Uint8Array(parts.length * ID_BYTES)
  const stored = new Uint32Array(parts.length)
  const mended = { newBlobs: content.newBlobs, newBytes: content.newBytes, storedBytes: content.storedBytes }
  let next = 0
  for (const [i, { size, changes }] of [...patchesOf(batch)].entries()) {
    const { reload, onPatched } = parts[i]!
    if (failed[i] === 0) {
      ids.set(content.ids.subarray(next * ID_BYTES, (next + 1) * ID_BYTES), i * ID_BYTES)
      stored[i] = content.stored[next++]!
      onPatched(differences[i]!)
      continue
    }
    const blob = new Uint8Array(size)
    blob.set((await reload()).subarray(0, size))
    const difference = applyChanges(blob, changes)
    const one = await save(blob)
    ids.set(one.ids, i * ID_BYTES)
    stored[i] = one.stored[0]!
    mended.newBlobs += one.newBlobs
    mended.newBytes += one.newBytes
    mended.storedBytes += one.storedBytes
    onPatched(difference)
  }
  return { ...mended, ids, stored }
}

/** New blobs of a file that travel together. */
class CutBatch {
  readonly #outlet: CutOutlet
  #batch: Uint8Array | undefined
  #used = 0
  #ends: number[] = []

  constructor(outlet: CutOutlet) {
    this.#outlet = outlet
  }

  async add(bytes: Uint8Array): Promise<void> {
    const { length } = bytes
    if (length === 0 || length > MAX_CHUNK_BYTES) throw new RangeError(`a blob cannot have ${length} bytes`)
    if (this.#used + length > (this.#batch?.length ?? length)) await this.send()
    this.#batch ??= this.#outlet.batch()
    copyBytes(this.#batch, bytes, this.#used)
    this.#used += length
    this.#ends.push(this.#used)
  }

  async send(): Promise<void> {
    if (this.#batch === undefined) return
    const [batch, used, ends] = [this.#batch, this.#used, Uint32Array.from(this.#ends)]
    this.#batch = undefined
    this.#used = 0
    this.#ends = []
    await this.#outlet.send(batch, used, ends)
  }
}

/** Patches of a file that travel together. */
class Patches {
  readonly #outlet: PartOutlet
  #builder: PatchBatchBuilder | undefined
  #parts: PatchedPart[] = []

  constructor(outlet: PartOutlet) {
    this.#outlet = outlet
  }

  async add(part: PatchedPart): Promise<void> {
    if (this.#builder?.isFullFor(part)) await this.send()
    this.#builder ??= new PatchBatchBuilder(this.#outlet.batch())
    this.#builder.add(part)
    this.#parts.push(part)
  }

  async send(): Promise<void> {
    if (this.#builder === undefined) return
    const [builder, parts] = [this.#builder, this.#parts]
    this.#builder = undefined
    this.#parts = []
    await this.#outlet.sendPatches(builder, parts)
  }
}
