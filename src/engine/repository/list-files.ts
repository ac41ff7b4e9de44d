import type { Id } from '../../lib/id.ts'
import type { NamedFileKind } from '../storage/storage.ts'
import type { BlobType } from './blob.ts'
import type { IndexedPack } from './index/index-file.ts'
import { readIndexFile } from './index/load-index.ts'
import type { Repository } from './repository.ts'

/** What `list` calls the kinds of files. */
export type ListedFiles = 'packs' | 'index' | 'snapshots' | 'keys' | 'locks'

const kinds: Readonly<Record<ListedFiles, NamedFileKind>> = {
  packs: 'data',
  index: 'index',
  snapshots: 'snapshot',
  keys: 'key',
  locks: 'lock',
}

/** Ids of all files of a kind, ascending. Wants a read lock, which for `locks` would only show itself: take none there. */
export async function listFileIds(repository: Repository, files: ListedFiles, signal?: AbortSignal): Promise<Id[]> {
  return await repository.list(kinds[files], signal)
}

/** An entry of an index file. */
export interface ListedBlob {
  readonly type: BlobType
  readonly id: Id
}

/**
 * What all index files list, file by file; a blob that lies in several packs comes several times. Holds one file in memory at a time. Wants
 * a read lock.
 * @throws HoldfastError HF_DATA_DAMAGED, HF_CRYPTO_AUTH for the first damaged index file
 */
export async function* listBlobs(repository: Repository, signal?: AbortSignal): AsyncGenerator<ListedBlob> {
  for (const name of await repository.list('index', signal)) {
    const packs: IndexedPack[] = []
    await readIndexFile(repository, name, (pack) => packs.push(pack), signal)
    for (const { blobs } of packs) for (const { type, id } of blobs) yield { type, id }
  }
}
