import { CRYPTO_OVERHEAD_BYTES } from '../../engine/kernels/cipher.ts'
import type { BlobLocation } from '../../engine/repository/blob.ts'
import type { Repository } from '../../engine/repository/repository.ts'
import { readInto } from '../../engine/storage/read-into.ts'
import { asBuffer, freeNow } from '../../lib/bytes.ts'
import { isHoldfastError } from '../../lib/errors.ts'
import type { Id } from '../../lib/id.ts'

/** Blobs of a dump are small, and each would be a request of its own: so many bytes of a file are read together where they lie together. */
const STRETCH_BYTES = 2 * 1024 * 1024
/** Read while one is worked on. */
const STRETCHES_AHEAD = 2
/** With what sealing adds to small blobs. */
const SEALED_BYTES = STRETCH_BYTES + 64 * 1024

/** Blobs of a file that follow each other in a pack, too. */
interface Stretch {
  readonly blobs: { readonly id: Id; readonly location: BlobLocation | undefined }[]
  sealedBytes: number
  plainBytes: number
}

/** A stretch on its way from the store. */
interface StretchRead {
  readonly stretch: Stretch
  /** False when it cannot be read like this. */
  readonly done: Promise<boolean>
  readonly sealed: Buffer
}

/**
 * The bytes of a stored file in pieces that are valid until the next one is asked for: their memory is used again, and freed at the end.
 * Each blob is opened and checked against its id; what cannot be read is looked for in other packs.
 * @throws HoldfastError whatever reading blobs throws
 */
export async function* storedContent(
  repository: Repository,
  ids: readonly Id[],
  signal?: AbortSignal,
): AsyncGenerator<Buffer> {
  const stretches = stretchesOf(repository, ids)
  const ahead: StretchRead[] = []
  const free: Buffer[] = []
  const room = new Room()
  const begin = (stretch: Stretch): StretchRead => {
    const sealed = fitting(free.pop(), stretch.sealedBytes, SEALED_BYTES)
    const done = readStretch(repository, stretch, sealed.subarray(0, stretch.sealedBytes), signal)
    // Whoever waits for it gets the failure.
    done.catch(() => undefined)
    return { stretch, done, sealed }
  }
  try {
    for (;;) {
      while (ahead.length <= STRETCHES_AHEAD) {
        const next = stretches.next()
        if (next.done === true) break
        ahead.push(begin(next.value))
      }
      const first = ahead.shift()
      if (first === undefined) return
      const { stretch, sealed } = first
      const piece = (await first.done) ? openStretch(repository, stretch, sealed, room) : undefined
      free.push(sealed)
      if (piece !== undefined) yield piece
      else for (const { id } of stretch.blobs) yield asBuffer(await repository.loadBlob('data', id, signal))
    }
  } finally {
    // Reads that are under way keep theirs.
    for (const { buffer } of free) freeNow(buffer)
    room.free()
  }
}

/** Where the blobs of a stretch are opened. */
class Room {
  #plain: Buffer = Buffer.alloc(0)
  #opened: Buffer = Buffer.alloc(0)

  /** For all blobs. */
  plain(bytes: number): Buffer {
    this.#plain = fitting(this.#plain, bytes, STRETCH_BYTES)
    return this.#plain.subarray(0, bytes)
  }

  /** For what is still to be decompressed. */
  opened(bytes: number): Buffer {
    this.#opened = fitting(this.#opened, bytes, bytes)
    return this.#opened.subarray(0, bytes)
  }

  free(): void {
    for (const { buffer } of [this.#plain, this.#opened]) freeNow(buffer)
  }
}

/** `memory` when it is large enough, else other memory of `usual` bytes, or as many as are needed. */
function fitting(memory: Buffer | undefined, bytes: number, usual: number): Buffer {
  if (memory !== undefined && memory.length >= bytes) return memory
  if (memory !== undefined) freeNow(memory.buffer)
  return Buffer.allocUnsafeSlow(Math.max(bytes, usual))
}

function* stretchesOf(repository: Repository, ids: readonly Id[]): Generator<Stretch> {
  let stretch: Stretch | undefined
  for (const id of ids) {
    const [location] = repository.index.findAll('data', id)
    const plainBytes = location === undefined ? 0 : plainLength(location)
    const before = stretch?.blobs.at(-1)?.location
    const isNext =
      before !== undefined && location?.pack === before.pack && location.offset === before.offset + before.length
    if (stretch !== undefined && (!isNext || stretch.plainBytes + plainBytes > STRETCH_BYTES)) {
      yield stretch
      stretch = undefined
    }
    stretch ??= { blobs: [], sealedBytes: 0, plainBytes: 0 }
    stretch.blobs.push({ id, location })
    stretch.sealedBytes += location?.length ?? 0
    stretch.plainBytes += plainBytes
  }
  if (stretch !== undefined) yield stretch
}

const plainLength = ({ length, uncompressedLength }: BlobLocation): number =>
  uncompressedLength > 0 ? uncompressedLength : Math.max(0, length - CRYPTO_OVERHEAD_BYTES)

/** Whether it could be read like this. */
async function readStretch(
  { storage }: Repository,
  { blobs }: Stretch,
  sealed: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const location = blobs[0]?.location
  if (location === undefined) return false
  try {
    await readInto(storage, { kind: 'data', name: location.pack }, location.offset, sealed, { signal })
    return true
  } catch (error) {
    if (isHoldfastError(error, 'HF_INTERRUPTED')) throw error
    return false
  }
}

/** All blobs of a stretch one behind the other; undefined when one of them is damaged. */
function openStretch(
  repository: Repository,
  { blobs, plainBytes }: Stretch,
  sealed: Uint8Array,
  room: Room,
): Buffer | undefined {
  const piece = room.plain(plainBytes)
  let used = 0
  let at = 0
  const place = (length: number): Uint8Array => piece.subarray(used, used + length)
  const scratch = (length: number): Uint8Array => room.opened(length)
  for (const { id, location } of blobs) {
    if (location === undefined) return undefined
    const { length, uncompressedLength } = location
    const rooms = { opened: uncompressedLength > 0 ? scratch : place, decompressed: place }
    try {
      used += repository.openBlob('data', id, location, sealed.subarray(at, at + length), rooms).length
    } catch {
      return undefined
    }
    at += length
  }
  return piece.subarray(0, used)
}
