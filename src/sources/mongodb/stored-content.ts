import { CRYPTO_OVERHEAD_BYTES } from '../../engine/kernels/cipher.ts'
import type { BlobLocation } from '../../engine/repository/blob.ts'
import type { Repository } from '../../engine/repository/repository.ts'
import { asBuffer } from '../../lib/bytes.ts'
import { isHoldfastError } from '../../lib/errors.ts'
import type { Id } from '../../lib/id.ts'

/** Blobs of a dump are small, and each would be a request of its own: so many bytes of a file are read together where they lie together. */
const STRETCH_BYTES = 2 * 1024 * 1024
/** Read while one is worked on. */
const STRETCHES_AHEAD = 2

/** Blobs of a file that follow each other in a pack, too. */
interface Stretch {
  readonly blobs: { readonly id: Id; readonly location: BlobLocation | undefined }[]
  sealedBytes: number
  plainBytes: number
}

/**
 * The bytes of a stored file in pieces whose memory is given away. Each blob is opened and checked against its id; what cannot be read is
 * looked for in other packs.
 * @throws HoldfastError whatever reading blobs throws
 */
export async function* storedContent(
  repository: Repository,
  ids: readonly Id[],
  signal?: AbortSignal,
): AsyncGenerator<Buffer> {
  const stretches = stretchesOf(repository, ids)
  const ahead: { readonly stretch: Stretch; readonly reading: Promise<Uint8Array | undefined> }[] = []
  let scratch = new Uint8Array(0)
  const opened = (length: number): Uint8Array => {
    if (scratch.length < length) scratch = new Uint8Array(length)
    return scratch.subarray(0, length)
  }
  for (;;) {
    while (ahead.length <= STRETCHES_AHEAD) {
      const next = stretches.next()
      if (next.done === true) break
      const reading = readStretch(repository, next.value, signal)
      // Whoever waits for it gets the failure.
      reading.catch(() => undefined)
      ahead.push({ stretch: next.value, reading })
    }
    const first = ahead.shift()
    if (first === undefined) return
    const sealed = await first.reading
    const piece = sealed && openStretch(repository, first.stretch, sealed, opened)
    if (piece !== undefined) yield piece
    else for (const { id } of first.stretch.blobs) yield asBuffer(await repository.loadBlob('data', id, signal))
  }
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

/** undefined when it cannot be read like this. */
async function readStretch(
  { storage }: Repository,
  { blobs, sealedBytes }: Stretch,
  signal: AbortSignal | undefined,
): Promise<Uint8Array | undefined> {
  const location = blobs[0]?.location
  if (location === undefined) return undefined
  try {
    const range = { offset: location.offset, length: sealedBytes }
    return await storage.get({ kind: 'data', name: location.pack }, range, { signal })
  } catch (error) {
    if (isHoldfastError(error, 'HF_INTERRUPTED')) throw error
    return undefined
  }
}

/** All blobs of a stretch one behind the other; undefined when one of them is damaged. */
function openStretch(
  repository: Repository,
  { blobs, plainBytes }: Stretch,
  sealed: Uint8Array,
  scratch: (length: number) => Uint8Array,
): Buffer | undefined {
  const piece = Buffer.allocUnsafeSlow(plainBytes)
  let used = 0
  let at = 0
  const place = (length: number): Uint8Array => piece.subarray(used, used + length)
  for (const { id, location } of blobs) {
    if (location === undefined) return undefined
    const { length, uncompressedLength } = location
    const room = { opened: uncompressedLength > 0 ? scratch : place, decompressed: place }
    try {
      used += repository.openBlob('data', id, location, sealed.subarray(at, at + length), room).length
    } catch {
      return undefined
    }
    at += length
  }
  return piece.subarray(0, used)
}
