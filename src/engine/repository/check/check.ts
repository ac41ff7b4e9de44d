import type { Id } from '../../../lib/id.ts'
import type { Progress } from '../../../lib/progress.ts'
import { formatPercent, formatSize } from '../../../lib/sizes.ts'
import type { Repository } from '../repository.ts'
import type { StoredSnapshot } from '../snapshot.ts'
import { checkIndex } from './check-index.ts'
import { checkKeyFiles } from './check-key-files.ts'
import { checkPackFiles, listPacks } from './check-pack-files.ts'
import { checkSnapshots } from './check-snapshots.ts'
import { type CheckedTrees, checkTrees } from './check-trees.ts'
import { choosePacks, type PackSubset } from './choose-packs.ts'
import { DataCheck } from './data-check.ts'
import type { Finding, FindingKind, Report } from './finding.ts'
import { packsInUse } from './packs-in-use.ts'

export interface CheckOptions {
  /** Packs to read whole and verify; none by default. */
  readonly read?: PackSubset | undefined
  /** The snapshots to check, of all intact ones, oldest first. Packs they do not need are then not read. All by default. */
  readonly select?: ((snapshots: readonly StoredSnapshot[]) => readonly StoredSnapshot[]) | undefined
  /** Threads that read packs, by default as many as help; with 0 the calling thread does it. */
  readonly threads?: number | undefined
  /** Gets each finding as soon as it is known. */
  readonly onFinding?: Report | undefined
  readonly progress: Progress
  readonly signal?: AbortSignal | undefined
}

export interface CheckResult {
  readonly findings: readonly Finding[]
  /** Counted as restic does: each problem of a directory, each other object with a problem once. */
  readonly errors: number
  /** Packs for "repair packs". */
  readonly brokenPacks: readonly Id[]
  /** Snapshot files for "repair snapshots --forget". */
  readonly brokenSnapshots: readonly Id[]
  readonly suggestRepairIndex: boolean
  readonly suggestPrune: boolean
  /** What was looked at. */
  readonly counts: {
    readonly snapshots: number
    readonly trees: number
    readonly packs: number
    /** Entries of the index. */
    readonly blobs: number
    readonly packsRead: number
    readonly bytesRead: number
  }
}

const brokenPackKinds: ReadonlySet<FindingKind> = new Set([
  'pack-listings-differ',
  'pack-missing',
  'pack-size',
  'pack-damaged',
])

/**
 * Looks for damage: every file that can be checked by its name, the index against the packs, the snapshots' trees against the index, and,
 * as far as `read` says, every byte of the packs. Damage is a result, not an exception. Nothing is changed, except that the repository
 * has its index loaded afterwards.
 *
 * Wants the exclusive lock, without which work of others at the same time looks like damage. The repository must have been opened without
 * a cache, or a copy there would be checked in place of the original.
 *
 * @throws HoldfastError HF_INTERRUPTED, storage errors while listing
 */
export async function checkRepository(repository: Repository, options: CheckOptions): Promise<CheckResult> {
  const { read, select, threads, progress, signal } = options
  const findings: Finding[] = []
  const report: Report = (finding) => {
    findings.push(finding)
    options.onFinding?.(finding)
  }
  await using data = read && new DataCheck(repository, { threads, report, progress, signal })
  const present = await listPacks(repository, signal)
  let chosen: ReadonlyMap<Id, number> = new Map()
  let reading = ''
  const begin = (all: ReadonlyMap<Id, number>): void => {
    if (!read) return
    chosen = choosePacks(all, read)
    reading = describeReading(read, chosen, all, select !== undefined)
    data?.begin(chosen)
  }
  // Which packs these are does not depend on the index, so that all processors are busy while it is loaded.
  const beginsEarly = !select && (read?.kind === 'all' || read?.kind === 'part')
  if (beginsEarly) begin(present)

  await checkKeyFiles(repository, report, signal)
  // Before the index: what was backed up before the list was taken is in the index files read after it.
  const intact = await checkSnapshots(repository, report, signal)
  const snapshots = select ? select(intact) : intact
  progress.note('load indexes')
  const listings = await checkIndex(repository, report, progress, signal)
  let trees: CheckedTrees | undefined
  if (listings) {
    data?.useIndex(listings)
    const isListed = ([id]: readonly [Id, number]): boolean => listings.has(id)
    progress.note('check all packs')
    await checkPackFiles(repository, present, report, signal)
    if (!beginsEarly && !select) begin(new Map([...present].filter(isListed)))
    progress.note('check snapshots, trees and blobs')
    trees = await checkTrees(repository, snapshots, report, progress, signal)
    if (select) {
      const inUse = packsInUse(repository, trees.packsInUse)
      begin(new Map([...present].filter(([id]) => inUse.has(id))))
    }
    if (data) {
      progress.note(reading)
      await data.finish()
    }
    chosen = new Map([...chosen].filter(isListed))
  }
  return {
    ...summarise(findings),
    counts: {
      snapshots: snapshots.length,
      trees: trees?.trees ?? 0,
      packs: repository.index.packCount,
      blobs: repository.index.count,
      packsRead: listings ? chosen.size : 0,
      bytesRead: listings ? totalOf(chosen) : 0,
    },
  }
}

function describeReading(
  subset: PackSubset,
  chosen: ReadonlyMap<Id, number>,
  all: ReadonlyMap<Id, number>,
  isFiltered: boolean,
): string {
  const what = isFiltered ? 'filtered data' : 'data'
  const amount = `${chosen.size} of ${all.size} packs, ${formatSize(totalOf(chosen))}`
  switch (subset.kind) {
    case 'all':
      return `read all ${what}`
    case 'part':
      return `read group #${subset.part} of ${subset.parts} groups of ${what}: ${amount}`
    case 'percent':
      return `read ${subset.percent.toFixed(1)}% of ${what}: ${amount}`
    case 'bytes':
      return `read ${formatPercent(totalOf(chosen), totalOf(all)) || '100.00%'} of ${what}: ${amount}`
  }
}

function totalOf(sizes: ReadonlyMap<Id, number>): number {
  let bytes = 0
  for (const size of sizes.values()) bytes += size
  return bytes
}

function summarise(findings: readonly Finding[]): Omit<CheckResult, 'counts'> {
  const idsOf = (isMeant: (finding: Finding) => boolean): Id[] => [
    ...new Set(findings.flatMap((finding) => (isMeant(finding) && finding.object.id ? finding.object.id : []))),
  ]
  const has = (...kinds: readonly FindingKind[]): boolean => findings.some(({ kind }) => kinds.includes(kind))
  let errors = 0
  for (const { severity, kind, details } of findings)
    if (severity === 'error') errors += kind === 'tree-damaged' ? Math.max(1, details.length) : 1
  return {
    findings,
    errors,
    brokenPacks: idsOf(({ kind }) => brokenPackKinds.has(kind)),
    brokenSnapshots: idsOf(({ kind }) => kind === 'snapshot-damaged'),
    suggestRepairIndex: has('index-damaged', 'pack-in-several-indexes') || (errors > 0 && has('pack-unindexed')),
    suggestPrune: has('pack-mixed', 'pack-unindexed'),
  }
}
