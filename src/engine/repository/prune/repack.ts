import { HoldfastError, isHoldfastError } from '../../../lib/errors.ts'
import type { Id } from '../../../lib/id.ts'
import { forEachParallel } from '../../../lib/parallel.ts'
import type { Progress } from '../../../lib/progress.ts'
import type { PackEntry } from '../pack/header.ts'
import { readRanges } from '../pack/read-ranges.ts'
import type { Repository } from '../repository.ts'
import { BlobWriter } from '../write/blob-writer.ts'

export type BlobToRepack = PackEntry

/**
 * Writes blobs into new packs, and index files for these. The sealed bytes are taken over as they are once their authentication code is
 * verified, which proves them unchanged since they were sealed and verified then; only blobs that are stored uncompressed and should not
 * be are opened and compressed.
 */
export async function repackBlobs(
  repository: Repository,
  blobsByPack: ReadonlyMap<Id, readonly BlobToRepack[]>,
  progress: Progress,
  signal?: AbortSignal,
): Promise<void> {
  const writer = new BlobWriter(repository, signal)
  const step = progress.step('packs repacked', blobsByPack.size)
  await forEachParallel(blobsByPack, repository.storage.properties.connections, async ([pack, blobs]) => {
    for await (const { blob, sealed } of readRanges(repository.storage, pack, blobs, signal)) {
      const { type, id, uncompressedLength } = blob
      const compress = uncompressedLength === 0 && repository.compressorFor(type) !== undefined
      if (compress) {
        const plaintext = repository.openBlob(type, id, { pack, ...blob }, sealed)
        await writer.save(type, plaintext, id, { duplicate: true })
      } else if (repository.cipher.authenticates(sealed)) {
        await writer.saveSealed(type, id, sealed, uncompressedLength, { duplicate: true })
      } else {
        await saveOtherCopy(repository, writer, pack, blob, signal)
      }
    }
    step.add()
  })
  await writer.flush()
  step.done()
}

/** The copy in this pack is damaged: another pack may hold an intact one. */
async function saveOtherCopy(
  repository: Repository,
  writer: BlobWriter,
  pack: Id,
  { type, id }: BlobToRepack,
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    await writer.save(type, await repository.loadBlob(type, id, signal), id, { duplicate: true })
  } catch (cause) {
    if (!isHoldfastError(cause, 'HF_PACK_DAMAGED', 'HF_STORAGE_NOT_FOUND', 'HF_STORAGE_SHORT')) throw cause
    throw new HoldfastError(
      'HF_PACK_DAMAGED',
      `${type} blob ${id} in pack ${pack} is damaged; prune stops and deletes nothing`,
      {
        cause,
        context: { pack, id, type },
        hint: `run "holdfast check --read-data", then "holdfast repair packs ${pack}"`,
      },
    )
  }
}
