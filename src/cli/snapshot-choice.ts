import { resolve } from 'node:path'
import type { Repository } from '../engine/repository/repository.ts'
import type { StoredSnapshot } from '../engine/repository/snapshot.ts'
import {
  parseSnapshotReference,
  resolveSnapshot,
  resolveSnapshotId,
  type SnapshotFilter,
  selectSnapshots,
} from '../engine/repository/snapshot-filter.ts'
import { loadSnapshot, loadSnapshots } from '../engine/repository/snapshots.ts'
import { HoldfastError, isHoldfastError } from '../lib/errors.ts'
import { shortId } from '../lib/id.ts'
import { chosenHosts, type SnapshotFilterOptions } from './options/snapshot-filter.ts'
import type { Output } from './output/output.ts'

/** The filter that `--host`, `--tag` and `--path` make. */
export const snapshotFilter = (options: SnapshotFilterOptions): SnapshotFilter => ({
  hosts: chosenHosts(options),
  tags: options.tags,
  paths: options.paths.map((path) => resolve(path)),
})

/** For commands without these options. */
export const noSnapshotFilter: SnapshotFilterOptions = { hosts: [], tags: [], paths: [] }

/**
 * The one snapshot a command works on, and the folder in it (empty: all). One that is named by its id is found whatever has happened to
 * others; which one is the latest is only known when all can be read.
 * @throws HoldfastError HF_SNAPSHOT_NOT_FOUND, HF_SNAPSHOT_AMBIGUOUS, HF_DATA_DAMAGED, HF_CRYPTO_AUTH
 */
export async function chooseSnapshot(
  repository: Repository,
  reference: string,
  options: SnapshotFilterOptions,
  signal: AbortSignal,
): Promise<{ readonly snapshot: StoredSnapshot; readonly subfolder: string }> {
  const { name, subfolder } = parseSnapshotReference(reference)
  if (name === 'latest')
    return resolveSnapshot(await loadAllSnapshots(repository, signal), reference, snapshotFilter(options))
  const id = resolveSnapshotId(await repository.list('snapshot', signal), name)
  return { snapshot: await loadSnapshot(repository, id, signal), subfolder }
}

async function loadAllSnapshots(repository: Repository, signal: AbortSignal): Promise<readonly StoredSnapshot[]> {
  try {
    return await loadSnapshots(repository, { signal })
  } catch (error) {
    if (!isHoldfastError(error, 'HF_DATA_DAMAGED', 'HF_CRYPTO_AUTH')) throw error
    throw new HoldfastError(error.code, `nobody can tell which snapshot is the latest: ${error.message}`, {
      cause: error,
      hint: 'name the one you want by its id; "holdfast snapshots" lists those that can be read',
    })
  }
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

/**
 * The same for a check, which must not pass because it looked at nothing that was meant.
 * @throws HoldfastError HF_SNAPSHOT_NOT_FOUND, HF_SNAPSHOT_AMBIGUOUS, HF_USAGE
 */
export function chooseForCheck(
  all: readonly StoredSnapshot[],
  references: readonly string[],
  options: SnapshotFilterOptions,
  output: Output,
): readonly StoredSnapshot[] {
  const { snapshots, problems } = selectSnapshots(all, references, snapshotFilter(options))
  if (problems[0] !== undefined) throw problems[0]
  if (snapshots.length === 0) output.warn('Warning: no snapshot matches, so none is checked')
  return snapshots
}

/** What a command on several snapshots works on. */
export interface SnapshotChoice {
  readonly snapshots: readonly StoredSnapshot[]
  /** Everything that could be read. */
  readonly all: readonly StoredSnapshot[]
  /** The exit code when the rest goes well: 1 when there are snapshots that cannot be read. */
  readonly exitCode: number
}

/** Loads the snapshots and chooses among them. Those that cannot be read are warned about and left alone. */
export async function loadChosenSnapshots(
  repository: Repository,
  references: readonly string[],
  options: SnapshotFilterOptions,
  output: Output,
  signal: AbortSignal,
): Promise<SnapshotChoice> {
  let exitCode = 0
  const all = await loadSnapshots(repository, {
    signal,
    onUnreadable: ({ id, error }) => {
      exitCode = 1
      output.warn(`snapshot ${shortId(id)} cannot be read: ${error.message}`)
    },
  })
  return { snapshots: chooseSnapshots(all, references, options, output), all, exitCode }
}

/** The warning about a reference, or a filter, that leads nowhere. */
export function ignoring({ code, context, message }: HoldfastError): string {
  const what = context.prefix ?? (code === 'HF_USAGE' ? 'filters' : 'latest')
  return `Ignoring ${JSON.stringify(what)}: ${message}`
}
