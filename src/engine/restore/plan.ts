import { resolve } from 'node:path'
import { HoldfastError } from '../../lib/errors.ts'
import type { Id } from '../../lib/id.ts'
import { parsePatterns } from '../archive/filter/pattern.ts'
import { remoteRanges } from '../repository/pack/read-ranges.ts'
import type { Repository } from '../repository/repository.ts'
import { compareFiles, type FileComparison } from './compare-files.ts'
import { type PresentBlobs, planContent } from './content-plan.ts'
import { DataBlobs } from './data-blobs.ts'
import { type EntryTable, ROOT } from './entry-table.ts'
import { Planner } from './planner.ts'
import type { RestorePlan, RestorePlanOptions, RestoreTotals } from './restore-plan.ts'
import { RestoreThreads } from './restore-threads.ts'
import { beginOnThreads } from './thread-plan.ts'
import type { WriteRules } from './threads/entry-writer.ts'
import { currentUmask } from './umask.ts'

/**
 * Finds out what has to be done to bring the tree `tree` (of a snapshot, or of a folder in it) to the target: reads trees, looks at the
 * target, compares files that are there. Changes nothing. The repository's index must be loaded.
 *
 * @param threads compare existing files; without them threads are started when there are such files, and ended
 * @throws HoldfastError HF_TARGET_INVALID, HF_USAGE, HF_PATTERN_INVALID; whatever reading the root tree throws. Other problems are in the
 *   plan: what they are about is left out of it
 */
export async function planRestore(
  repository: Repository,
  tree: Id,
  options: RestorePlanOptions,
  threads?: RestoreThreads,
): Promise<RestorePlan> {
  const target = resolve(options.target)
  const rules = rulesOf(options)
  if (options.deleteOthers && target === '/' && options.selector === undefined)
    throw new HoldfastError('HF_USAGE', 'deleting what is not in the snapshot from / would empty this machine', {
      hint: 'say what is meant with an include or exclude pattern',
    })
  const rows = DataBlobs.ofIndex(repository.index)
  const planner = new Planner(repository, rows, {
    target,
    selector: options.selector,
    overwrite: options.overwrite ?? 'always',
    deleteOthers: options.deleteOthers ?? false,
    ownershipByName: options.ownershipByName ?? false,
    owner: options.owner,
    rules,
    signal: options.signal,
  })
  await planner.walk(tree)
  const entries = planner.table.build()
  const content = planner.content.build()
  const present = new Map<number, Uint8Array>()
  if (planner.toCompare.length > 0) {
    const own = threads === undefined ? new RestoreThreads() : undefined
    try {
      await beginOnThreads(threads ?? own!, repository, { target, entries, content, rows, rules })
      await compareFiles(planner.toCompare, {
        table: entries,
        content,
        rows,
        threads: threads ?? own!,
        // What cannot be read is replaced, which needs no reading.
        onFile: (entry, comparison) => decide(entries, entry, comparison, present),
        signal: options.signal,
      })
    } finally {
      await own?.close()
    }
  }
  const isAtHand = repository.storage.properties.directory !== undefined
  const reach = isAtHand ? undefined : { bytes: remoteRanges.requestBytes, gapBytes: remoteRanges.gapBytes }
  const writing = planContent(entries, content, rows, repository.index.packCount, present, reach)
  return {
    tree,
    target,
    entries,
    content,
    rows,
    writing,
    deletions: planner.deletions,
    problems: planner.problems,
    totals: totalsOf(entries, content, rows, present, planner.deletions),
    rules,
  }
}

function rulesOf(options: RestorePlanOptions): WriteRules {
  const { excludeXattrs = [], includeXattrs = [] } = options
  if (excludeXattrs.length > 0 && includeXattrs.length > 0)
    throw new HoldfastError('HF_USAGE', 'exclude and include patterns for extended attributes are mutually exclusive')
  parsePatterns([...excludeXattrs, ...includeXattrs])
  const uid = process.geteuid?.() ?? 0
  return {
    umask: currentUmask(),
    uid,
    gid: process.getegid?.() ?? 0,
    isSuperuser: uid === 0,
    sparse: options.sparse ?? false,
    direct: false,
    removeTrees: options.deleteOthers ?? false,
    excludeXattrs,
    includeXattrs,
  }
}

/** What is to be done about a file that is there, now that its content is known. */
function decide(
  entries: EntryTable,
  entry: number,
  comparison: FileComparison | undefined,
  present: Map<number, Uint8Array>,
): void {
  if (comparison === undefined) {
    entries.setAction(entry, 'replace')
    return
  }
  const { sizeBytes, links, matches } = comparison
  if (matches === undefined && sizeBytes === entries.memory.number[entry]) return
  // Further names of the same file elsewhere must keep their content.
  if (links > 1) entries.setAction(entry, 'replace')
  else {
    entries.setAction(entry, 'update')
    present.set(entry, matches ?? new Uint8Array(entries.contentEnd(entry) - entries.contentStart(entry)).fill(1))
  }
}

function totalsOf(
  entries: EntryTable,
  content: Uint32Array,
  rows: DataBlobs,
  present: PresentBlobs,
  deletions: RestorePlan['deletions'],
): RestoreTotals {
  const totals = { files: 0, bytes: 0, skippedFiles: 0, skippedBytes: 0, deletedFiles: 0, presentBytes: 0 }
  for (let entry = ROOT + 1; entry < entries.count; entry++) {
    const isFile = entries.kind(entry) === 'file'
    const bytes = isFile ? entries.memory.number[entry]! : 0
    const action = entries.action(entry)
    if (action === 'skip' || (isFile && action === 'adjust')) {
      totals.skippedFiles++
      totals.skippedBytes += bytes
    } else {
      totals.files++
      totals.bytes += bytes
    }
  }
  for (const [entry, matches] of present) {
    const start = entries.contentStart(entry)
    for (let b = 0; b < matches.length; b++)
      if (matches[b] !== 0) totals.presentBytes += rows.plaintextLength(content[start + b]!)
  }
  for (const { paths } of deletions) totals.deletedFiles += paths.length
  return totals
}
