import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import type { Id } from '../../lib/id.ts'
import { forEachParallel } from '../../lib/parallel.ts'
import type { Progress } from '../../lib/progress.ts'
import { copySnapshots, splitByPresence } from '../repository/copy/copy-snapshots.ts'
import type { CopyObserver } from '../repository/copy/snapshot-copier.ts'
import type { Repository } from '../repository/repository.ts'
import { loadSnapshots } from '../repository/snapshots.ts'
import type { FileRef, NamedFileKind, Storage } from '../storage/storage.ts'

export interface ReplacementOptions {
  readonly threads: number
  readonly progress: Progress
  readonly observer?: CopyObserver
  readonly signal?: AbortSignal | undefined
}

/**
 * That `next` may take the place of `old`: another repository with another master key, cut alike so that later snapshots share blobs.
 * @throws HoldfastError HF_USAGE
 */
export function requireSuccessor(old: Repository, next: Repository): void {
  const refuse = (what: string): HoldfastError =>
    new HoldfastError('HF_USAGE', `the repository at ${next.storage.location} ${what}`, {
      hint: 'name an empty place, where a new repository is made',
    })
  if (old.config.id === next.config.id) throw refuse('is the one whose master key is to be replaced')
  if (Buffer.compare(old.masterKey.encrypt, next.masterKey.encrypt) === 0) throw refuse('has the same master key')
  if (old.config.chunkerPolynomial !== next.config.chunkerPolynomial)
    throw refuse('cuts files otherwise, so that it was not made for this')
}

/**
 * Copies all snapshots of `old`, sealed anew with the key of `next`. Wherever it is cut off, the next call goes on from there. Wants a read lock
 * on the old and an append lock on the new repository.
 * @returns how many snapshots are in both
 * @throws HoldfastError as `copySnapshots`
 */
export async function copyAll(old: Repository, next: Repository, options: ReplacementOptions): Promise<number> {
  const snapshots = await loadSnapshots(old, { signal: options.signal })
  await old.loadIndex(options.signal)
  await next.loadIndex(options.signal)
  const { copied, skipped } = await copySnapshots(old, next, snapshots, options)
  return copied.length + skipped.length
}

/** @throws HoldfastError HF_INCOMPLETE when `next` lacks a snapshot of `old` */
export async function requireAllSnapshots(old: Repository, next: Repository, signal?: AbortSignal): Promise<number> {
  const snapshots = await loadSnapshots(old, { signal })
  const { missing } = splitByPresence(snapshots, await loadSnapshots(next, { signal }))
  if (missing.length === 0) return snapshots.length
  throw new HoldfastError(
    'HF_INCOMPLETE',
    `${missing.length} of ${snapshots.length} snapshots at ${old.storage.location} are not at ${next.storage.location}`,
    {
      hint: 'bring them there with "holdfast copy --from-repo"; if they were removed there on purpose, remove them from the old repository, too',
      context: { first: missing[0]!.id },
    },
  )
}

/** Packs first and what opens the rest last, so that it can be told at any time what has to go. */
const removalOrder: readonly NamedFileKind[] = ['data', 'index', 'snapshot', 'key']

/**
 * Removes every file of `old`, whose snapshots are all in `next`. Wherever it is cut off, the next call, or `removeRemains`, goes on from there.
 * Wants the exclusive lock on the old repository.
 * @returns how many files were removed
 * @throws HoldfastError HF_INCOMPLETE, HF_USAGE before anything is removed; storage errors
 */
export async function removeReplaced(
  old: Repository,
  next: Repository,
  { progress, signal }: Pick<ReplacementOptions, 'progress' | 'signal'>,
): Promise<number> {
  requireSuccessor(old, next)
  await requireAllSnapshots(old, next, signal)
  const { storage, keyId } = old
  const files = new Map<NamedFileKind, readonly Id[]>()
  for (const kind of removalOrder)
    files.set(
      kind,
      (await old.list(kind, signal)).filter((name) => name !== keyId),
    )
  const count = [...files.values()].reduce((total, names) => total + names.length, 0)
  const counter = progress.step('files removed', count)
  for (const [kind, names] of files)
    await forEachParallel(names, storage.properties.connections, async (name) => {
      await storage.delete({ kind, name }, { signal })
      counter.add()
    })
  counter.done()
  await storage.delete({ kind: 'key', name: keyId }, { signal })
  await storage.delete({ kind: 'config' }, { signal })
  return count + 2
}

/**
 * Removes the config file and the locks of a repository of which nothing else is left, as a removal leaves it that was cut off in its last
 * steps, or behind them.
 * @returns how many files were removed; undefined when there is more, which is left alone
 */
export async function removeRemains(storage: Storage, signal?: AbortSignal): Promise<number | undefined> {
  for (const kind of removalOrder) for await (const _ of storage.list(kind, { signal })) return undefined
  const locks = (await Array.fromAsync(storage.list('lock', { signal }))).map(({ name }) => name)
  const files: readonly FileRef[] = [{ kind: 'config' }, ...locks.map((name) => ({ kind: 'lock' as const, name }))]
  let removed = 0
  for (const file of files)
    try {
      await storage.delete(file, { signal })
      removed++
    } catch (error) {
      if (!isHoldfastError(error, 'HF_STORAGE_NOT_FOUND')) throw error
    }
  return removed
}
