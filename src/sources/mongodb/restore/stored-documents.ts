import { HoldfastError } from '../../../lib/errors.ts'
import { documentsOf } from '../bson/batch.ts'
import { type DocumentRun, documentRuns } from '../bson/stream.ts'
import { DumpDigest } from '../dump-digest.ts'
import type { DumpedData } from '../manifest.ts'
import type { FoldedCollection } from '../oplog/folded-collection.ts'
import type { SnapshotFile } from '../snapshot-files.ts'

/**
 * The bytes of a file of the dump. Fails behind the last one unless they are those of the backup.
 * @throws HoldfastError HF_DATA_DAMAGED
 */
export async function* documentsIn(
  file: SnapshotFile,
  name: string,
  { sha256, bytes, parts }: Pick<DumpedData, 'sha256' | 'bytes' | 'parts'>,
): AsyncGenerator<Uint8Array> {
  const hash = new DumpDigest({ parts })
  let length = 0
  for await (const piece of file.content()) {
    hash.update(piece)
    length += piece.length
    yield piece
  }
  const found = hash.digest()
  if (length === bytes && found === sha256) return
  throw new HoldfastError(
    'HF_DATA_DAMAGED',
    `${name} is not what was read at the backup: ${length} bytes instead of ${bytes}, or others`,
    {
      context: { expected: sha256, found },
    },
  )
}

const RUN_BYTES = 4 * 1024 * 1024

/** All documents of a collection in their last state, in runs. What only the oplog has comes last. */
export async function* finalDocuments(
  stored: { readonly file: SnapshotFile; readonly data: DumpedData } | undefined,
  folded: FoldedCollection | undefined,
): AsyncGenerator<DocumentRun> {
  if (stored !== undefined) {
    const { file, data } = stored
    const runs = documentRuns(documentsIn(file, data.file, data), data.file)
    if (folded === undefined) return yield* runs
    for await (const { bytes } of runs) {
      const kept: Buffer[] = []
      for (const document of documentsOf(bytes)) {
        const last = folded.finalState(document)
        if (last !== undefined) kept.push(last)
      }
      if (kept.length > 0) yield { bytes: Buffer.concat(kept), count: kept.length }
    }
  }
  let kept: Buffer[] = []
  let length = 0
  for (const document of folded?.rest() ?? []) {
    kept.push(document)
    length += document.length
    if (length < RUN_BYTES) continue
    yield { bytes: Buffer.concat(kept), count: kept.length }
    kept = []
    length = 0
  }
  if (kept.length > 0) yield { bytes: Buffer.concat(kept), count: kept.length }
}
