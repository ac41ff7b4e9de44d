import { resolve } from 'node:path'
import type { Repository } from '../engine/repository/repository.ts'
import type { StoredSnapshot } from '../engine/repository/snapshot.ts'
import { resolveSnapshot, type SnapshotFilter, selectSnapshots } from '../engine/repository/snapshot-filter.ts'
import { loadSnapshots } from '../engine/repository/snapshots.ts'
import { HoldfastError } from '../lib/errors.ts'
import { type Id, shortId } from '../lib/id.ts'
import { chosenHosts, type SnapshotFilterOptions } from './options/snapshot-filter.ts'
import type { Output } from './output/output.ts'

/** The filter that `--host`, `--tag` and `--path` make. */
export const snapshotFilter = (options: SnapshotFilterOptions): SnapshotFilter => ({
  hosts: chosenHosts(options),
  tags: options.tags,
  paths: options.paths.map((path) => resolve(path)),
})

/**
 * The one snapshot a command works on, and the folder in it (empty: all).
 * @throws HoldfastError HF_SNAPSHOT_NOT_FOUND, HF_SNAPSHOT_AMBIGUOUS
 */
export async function chooseSnapshot(
  repository: Repository,
  reference: string,
  options: SnapshotFilterOptions,
  signal: AbortSignal,
): Promise<{ readonly snapshot: StoredSnapshot; readonly subfolder: string }> {
  return resolveSnapshot(await loadSnapshots(repository, { signal }), reference, snapshotFilter(options))
}

/**
 * The tree of a snapshot, which only a damaged one lacks.
 * @throws HoldfastError HF_DATA_DAMAGED
 */
export function treeOf({ id, tree }: StoredSnapshot): Id {
  if (tree !== undefined) return tree
  throw new HoldfastError(
    'HF_DATA_DAMAGED',
    `snapshot ${shortId(id)} has no tree: its file was damaged when it was written`,
    {
      hint: 'forget it, and use another snapshot',
    },
  )
}

/** The snapshots that ids name, or else the filter; ids that lead nowhere are warned about and left out, as in restic. */
export function chooseSnapshots(
  all: readonly StoredSnapshot[],
  references: readonly string[],
  options: SnapshotFilterOptions,
  output: Output,
): readonly StoredSnapshot[] {
  const { snapshots, problems } = selectSnapshots(all, references, snapshotFilter(options))
  for (const problem of problems) output.warn(ignoring(problem))
  return snapshots
}

/** The warning about a reference, or a filter, that leads nowhere. */
export function ignoring({ code, context, message }: HoldfastError): string {
  const what = context.prefix ?? (code === 'HF_USAGE' ? 'filters' : 'latest')
  return `Ignoring ${JSON.stringify(what)}: ${message}`
}
