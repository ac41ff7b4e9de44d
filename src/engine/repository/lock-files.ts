import type { Id } from '../../lib/id.ts'
import type { Repository } from './repository.ts'

/** The lock files of a repository: what locking needs of it. */
export interface LockFiles {
  list(signal?: AbortSignal): Promise<readonly { readonly name: Id; readonly sizeBytes: number }[]>
  /** The JSON of a lock, authenticated. */
  load(id: Id, signal?: AbortSignal): Promise<Uint8Array>
  save(json: Uint8Array): Promise<Id>
  /** HF_STORAGE_NOT_FOUND when it is gone already; some storages do not notice. */
  remove(id: Id): Promise<void>
}

/** The lock files of an open repository. What writes runs to its end: a lock must be removable when everything else has been cancelled. */
export const repositoryLockFiles = (repository: Repository): LockFiles => ({
  list: (signal) => Array.fromAsync(repository.storage.list('lock', { signal })),
  load: (id, signal) => repository.loadUnpacked('lock', id, signal),
  save: (json) => repository.saveUnpacked('lock', json),
  remove: (id) => repository.storage.delete({ kind: 'lock', name: id }),
})
