import { HoldfastError } from '../../../lib/errors.ts'
import { type Id, shortId } from '../../../lib/id.ts'
import type { Progress } from '../../../lib/progress.ts'
import type { Repository } from '../repository.ts'
import { loadSnapshots } from '../snapshots.ts'
import { findUsedBlobs, type UsedBlobs } from '../used-blobs.ts'
import { measurePacks, type PackUsage } from './pack-usage.ts'
import { emptyStats, type PruneOptions, type PrunePlan, type PruneStats, type RetainedSpace } from './prune-plan.ts'
import { RetainedPacks } from './retained-packs.ts'

/** Fewer small packs than this are not worth rewriting; without it the last small pack would be rewritten every time. */
const MIN_SMALL_PACKS = 10
const MIN_PACK_BYTES = 4 * 1024 * 1024

interface StoredPacks {
  /** Of every pack there is. */
  readonly sizes: ReadonlyMap<Id, number>
  /** Those that the store lets nobody delete before a time. */
  readonly retained: ReadonlyMap<Id, number>
}

interface Candidate extends PackUsage {
  readonly id: Id
  readonly sizeBytes: number
  readonly mustCompress: boolean
}

/**
 * Finds out what prune should do: walks all snapshots except `ignoreSnapshots`, measures every pack, and decides by restic's rules
 * (design document, "Pruning"). Needs the exclusive lock and a loaded index; changes nothing.
 *
 * @throws HoldfastError HF_INDEX_INCOMPLETE, HF_PACK_DAMAGED (a needed pack is missing or of the wrong size), HF_USAGE
 */
export async function planPrune(
  repository: Repository,
  options: PruneOptions,
  progress: Progress,
  {
    ignoreSnapshots,
    signal,
  }: { readonly ignoreSnapshots?: ReadonlySet<Id>; readonly signal?: AbortSignal | undefined } = {},
): Promise<PrunePlan> {
  if (repository.config.version < 2 && options.repackUncompressed)
    throw new HoldfastError('HF_USAGE', 'compression requires at least repository format version 2', {
      hint: 'run "holdfast migrate upgrade_repo_v2" first',
    })
  const limits = options.unsafeRecovery ? { ...options, maxRepackBytes: 0 } : options
  if (options.smallPackBytes > repository.packBytes)
    throw new HoldfastError('HF_USAGE', 'repack-smaller-than exceeds repository packsize')
  progress.note('loading all snapshots...')
  const loading = { signal, ...(ignoreSnapshots ? { except: ignoreSnapshots } : {}) }
  const snapshots = await loadSnapshots(repository, loading)
  progress.note(`finding data that is still in use for ${snapshots.length} snapshots`)
  const roots = snapshots.flatMap(({ tree }) => (tree === undefined ? [] : [tree]))
  const used = await findUsedBlobs(repository, roots, progress, signal)
  refuseIncompleteIndex(used)

  progress.note('searching used packs...')
  const stats = emptyStats()
  const usages = measurePacks(repository.index, used, stats)
  progress.note('collecting packs for deletion and repacking')
  const sizes = await listPackSizes(repository, progress, signal)
  const retained = new RetainedPacks(repository, signal)
  for (;;) {
    const counted = structuredClone(stats)
    const decision = decide(repository, limits, usages, { sizes, retained: retained.known }, counted, progress)
    // A pack that has to stay leaves room for others in the limits of the plan: they are asked about in turn.
    if (await retained.ask([...decision.removeFirst, ...decision.remove, ...decision.repack])) continue
    addTotals(counted)
    return { options, stats: counted, used, ...decision }
  }
}

function refuseIncompleteIndex({ missing }: UsedBlobs): void {
  if (missing.length === 0) return
  const named = missing.slice(0, 5).map(({ type, id }) => `${type} blob ${shortId(id)}`)
  const more = missing.length > named.length ? ` and ${missing.length - named.length} more` : ''
  throw new HoldfastError(
    'HF_INDEX_INCOMPLETE',
    `the index is not complete: snapshots need ${named.join(', ')}${more}; prune stops before anything is lost`,
    { hint: 'run "holdfast repair index", then "holdfast check"' },
  )
}

async function listPackSizes(
  repository: Repository,
  progress: Progress,
  signal: AbortSignal | undefined,
): Promise<Map<Id, number>> {
  const sizes = new Map<Id, number>()
  const step = progress.step('packs processed', repository.index.packCount)
  for await (const { name, sizeBytes } of repository.storage.list('data', { signal })) {
    sizes.set(name, sizeBytes)
    step.add()
  }
  step.done()
  return sizes
}

function decide(
  repository: Repository,
  options: PruneOptions,
  usages: readonly PackUsage[],
  { sizes, retained }: StoredPacks,
  stats: PruneStats,
  progress: Progress,
): Pick<PrunePlan, 'removeFirst' | 'repack' | 'remove' | 'forget' | 'retained'> {
  const target = smallPackLimit(options, usages)
  const removeFirst: Id[] = []
  const remove: Id[] = []
  const candidates: Candidate[] = []
  const small: Candidate[] = []
  const staying: RetainedSpace = { packs: 0, bytes: 0, earliestMs: Number.POSITIVE_INFINITY }
  const stays = (id: Id, bytes: number): boolean => {
    const untilMs = retained.get(id)
    if (untilMs === undefined) return false
    staying.packs++
    staying.bytes += bytes
    staying.earliestMs = Math.min(staying.earliestMs, untilMs)
    return true
  }
  for (const [id, sizeBytes] of sizes) {
    const facts = repository.index.packFacts(id)
    if (!facts) {
      if (stays(id, sizeBytes)) continue
      removeFirst.push(id)
      stats.bytes.unreferenced += sizeBytes
      continue
    }
    const usage = usages[facts.number]!
    const expected = usage.usedBytes + usage.unusedBytes
    if (expected !== sizeBytes && usage.usedBlobs > 0)
      throw new HoldfastError(
        'HF_PACK_DAMAGED',
        `pack ${id} should have ${expected} bytes and has ${sizeBytes}; prune stops before anything is lost`,
        {
          context: { pack: id },
          hint: 'run "holdfast check --read-data", then "holdfast repair packs" or "holdfast repair index"',
        },
      )
    if (usage.usedBlobs === 0) stats.packfiles.unused++
    else if (usage.unusedBlobs === 0) stats.packfiles.used++
    else stats.packfiles.partly_used++
    if (usage.hasUncompressed) stats.bytes.uncompressed += expected
    const mustCompress =
      repository.config.version >= 2 && usage.hasUncompressed && (usage.type === 'tree' || options.repackUncompressed)
    if (stays(id, usage.usedBlobs === 0 ? sizeBytes : usage.unusedBytes)) stats.packfiles.keep++
    else if (usage.usedBlobs === 0) {
      remove.push(id)
      stats.blobs.remove += usage.unusedBlobs
      stats.bytes.remove += usage.unusedBytes
    } else if (options.repackCacheableOnly && usage.type === 'data') stats.packfiles.keep++
    else if (usage.unusedBlobs === 0 && usage.type !== 'mixed' && !mustCompress && sizeBytes >= target)
      stats.packfiles.keep++
    else {
      const isSmallOnly = usage.unusedBlobs === 0 && usage.type !== 'mixed' && !mustCompress
      ;(isSmallOnly ? small : candidates).push({ ...usage, id, sizeBytes, mustCompress })
    }
  }
  const forget = missingPacks(repository, usages, sizes, stats, progress)
  if (small.length < MIN_SMALL_PACKS) stats.packfiles.keep += small.length
  else candidates.push(...small)
  const repack = chooseRepacks(candidates, target, options, stats)
  stats.packfiles.unreferenced = removeFirst.length
  stats.packfiles.repack = repack.length
  stats.packfiles.remove = remove.length
  if (repository.config.version < 2) stats.bytes.uncompressed = 0
  return { removeFirst, remove, repack, forget, retained: staying }
}

/** Packs an index lists that are not in the storage; throws when one of them is needed. */
function missingPacks(
  repository: Repository,
  usages: readonly PackUsage[],
  sizes: ReadonlyMap<Id, number>,
  stats: PruneStats,
  progress: Progress,
): Id[] {
  const forget: Id[] = []
  const needed: Id[] = []
  for (const { id, number } of repository.index.packs()) {
    if (sizes.has(id)) continue
    const usage = usages[number]!
    if (usage.usedBlobs > 0) {
      needed.push(id)
      continue
    }
    stats.blobs.remove += usage.unusedBlobs
    stats.bytes.remove += usage.unusedBytes
    forget.push(id)
    progress.warn(`will forget missing pack file ${id}: nothing in it is needed`)
  }
  if (needed.length > 0)
    throw new HoldfastError(
      'HF_PACK_DAMAGED',
      `the index refers to ${needed.length} needed packs that are missing: ${needed.slice(0, 5).map(shortId).join(', ')}`,
      { hint: 'bring the files back from a copy, or run "holdfast repair index" and "holdfast repair snapshots"' },
    )
  return forget
}

/** Below this size a pack is small: 0.8 of the third percentile of all packs, which leaves uniform repositories alone. */
function smallPackLimit(options: PruneOptions, usages: readonly PackUsage[]): number {
  if (options.smallPackBytes > 0) return options.smallPackBytes
  if (usages.length === 0) return 0
  const sizes = Float64Array.from(usages, ({ usedBytes, unusedBytes }) => usedBytes + unusedBytes).sort()
  return Math.floor((Math.max(MIN_PACK_BYTES, sizes[Math.floor((sizes.length * 3) / 100)]!) * 4) / 5)
}

/** The packs to rewrite: trees and small ones first, then those with the largest unused share, until little enough is unused. */
function chooseRepacks(candidates: Candidate[], target: number, options: PruneOptions, stats: PruneStats): Id[] {
  const bytesOf = (pack: Candidate): number => pack.usedBytes + pack.unusedBytes
  const rank = (pack: Candidate): number => (pack.type !== 'data' ? 0 : bytesOf(pack) < target ? 1 : 2)
  candidates.sort((a, b) => rank(a) - rank(b) || b.unusedBytes / bytesOf(b) - a.unusedBytes / bytesOf(a))
  const maxUnusedBytes = options.maxUnusedBytes(stats.bytes.used)
  const repack: Id[] = []
  for (const pack of candidates) {
    const bytes = bytesOf(pack)
    const unusedAfter = stats.bytes.duplicate + stats.bytes.unused - stats.bytes.remove - stats.bytes.repack_remove
    const isLimited = stats.bytes.repack + bytes >= options.maxRepackBytes
    const isForced = pack.type !== 'data' || pack.mustCompress
    const isEnough = unusedAfter < maxUnusedBytes && bytes >= target
    if (isLimited || (!isForced && isEnough)) {
      stats.packfiles.keep++
      continue
    }
    repack.push(pack.id)
    stats.blobs.repack += pack.usedBlobs + pack.unusedBlobs
    stats.bytes.repack += bytes
    stats.blobs.repack_remove += pack.unusedBlobs
    stats.bytes.repack_remove += pack.unusedBytes
    if (pack.hasUncompressed) stats.bytes.uncompressed -= bytes
  }
  return repack
}

function addTotals({ blobs, bytes, packfiles }: PruneStats): void {
  blobs.total = blobs.used + blobs.unused + blobs.duplicate
  blobs.remove_total = blobs.remove + blobs.repack_remove
  blobs.remaining = blobs.total - blobs.remove_total
  bytes.total = bytes.used + bytes.duplicate + bytes.unused + bytes.unreferenced
  bytes.remove_total = bytes.remove + bytes.repack_remove + bytes.unreferenced
  bytes.remaining = bytes.total - bytes.remove_total
  bytes.remaining_unused = bytes.duplicate + bytes.unused - bytes.remove - bytes.repack_remove
  packfiles.total = packfiles.used + packfiles.partly_used + packfiles.unused + packfiles.unreferenced
  packfiles.remove_total = packfiles.unreferenced + packfiles.remove
}
