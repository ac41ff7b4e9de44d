import { freeBytes } from '../../engine/posix/free-space.ts'
import { byteStringToText } from '../../engine/repository/tree/node.ts'
import { ROOT } from '../../engine/restore/entry-table.ts'
import { type RestorePlan, targetPathOf } from '../../engine/restore/restore-plan.ts'
import { formatSize } from '../../lib/sizes.ts'
import type { SourceRestorePlan } from '../restore.ts'
import type { SourceProblem } from '../source.ts'
import { lookAt } from './look-at.ts'
import { type FileRestore, isEmptyOrOverwritable } from './restore-plan.ts'

/** Names told one by one. */
const MAX_OVERWRITES = 1000
const MAX_NAMED = 20

/** A restore of files in the words of a plan; secret files are counted, not named. */
export function describeRestore(restore: FileRestore): SourceRestorePlan {
  const { target, plan } = restore
  const { totals } = plan
  const replaced = replacedFiles(restore)
  const where = target === '/' ? 'where they were' : `below ${target}`
  const steps = [
    `write ${count(totals.files, 'file or folder', 'files and folders')}, ${formatSize(totals.bytes)}, ${where}`,
  ]
  if (replaced.count > 0) steps.push(`replace ${count(replaced.count, 'file', 'files')} there`)
  if (totals.skippedFiles > 0)
    steps.push(
      `leave ${count(totals.skippedFiles, 'item', 'items')}, ${formatSize(totals.skippedBytes)}, as they are there`,
    )
  steps.push('read what was written again and compare it with the snapshot')
  return {
    steps,
    files: totals.files,
    bytes: totals.bytes,
    overwrites: replaced.names,
    problems: problemsOf(restore),
    afterwards: [],
  }
}

function problemsOf(restore: FileRestore): SourceProblem[] {
  const { job, target, secrets, plan, extras, obstacles } = restore
  const { totals } = plan
  const problems: SourceProblem[] = []
  if (!isEmptyOrOverwritable(restore))
    problems.push({
      severity: 'error',
      what: target === '/' ? 'files would be restored where they were' : `${target} is not empty`,
      remedy: 'name a new folder, or allow what is there to be overwritten with --overwrite',
    })
  if (totals.files + totals.skippedFiles === 0)
    problems.push({
      severity: 'error',
      what:
        job.include.length + job.exclude.length > 0
          ? 'nothing in the snapshot is selected'
          : 'the snapshot has no files',
      remedy:
        'name paths as they were on the machine, or patterns: "/etc/shop", "*.conf"; "holdfast ls" shows what there is',
    })
  for (const path of obstacles)
    problems.push({
      severity: 'error',
      what: `${path} is no folder here, and one would take its place`,
      remedy: 'restore below a new folder, and move from there what is needed',
    })
  for (const { path, error } of plan.problems)
    problems.push({
      severity: 'warning',
      what: `${secrets.show(path)}: ${secrets.conceal(path, error).message}`,
      remedy: undefined,
    })
  const free = freeBytes(target)
  const needed = newBytes(restore)
  if (free !== undefined && needed > free)
    problems.push({
      severity: 'error',
      what: `${formatSize(needed)} are needed at ${target}, and ${formatSize(free)} are free`,
      remedy: 'make room there, or name another folder',
    })
  if (extras.length > 0)
    problems.push({
      severity: 'note',
      what: `${count(extras.length, 'item is', 'items are')} there that the snapshot does not have, and stay: ${listed(extras, restore)}`,
      remedy: 'look at each of them: somebody added it after the backup',
    })
  if (process.geteuid?.() !== 0)
    problems.push({
      severity: 'note',
      what: 'only root can give files to their owners: all will belong to the user who restores',
      remedy: undefined,
    })
  return problems
}

/** Files of the target whose content is not that of the snapshot. */
function replacedFiles({ plan, target, secrets }: FileRestore): { readonly count: number; readonly names: string[] } {
  const { entries } = plan
  const names: string[] = []
  let replaced = 0
  let secret = 0
  for (let entry = ROOT + 1; entry < entries.count; entry++) {
    const action = entries.action(entry)
    if ((action !== 'update' && action !== 'replace') || isSameLink(plan, entry)) continue
    replaced++
    const path = entries.path(entry)
    if (secrets.isSecret(byteStringToText(path))) secret++
    else if (names.length < MAX_OVERWRITES) names.push(targetPathOf(target, path))
  }
  const more = replaced - secret - names.length
  if (more > 0) names.push(`and ${more} more`)
  if (secret > 0) names.push(count(secret, 'secret file', 'secret files'))
  return { count: replaced, names }
}

/** Whether an entry is a further name of a file, which it is in the target as well. */
function isSameLink({ entries, target }: RestorePlan, entry: number): boolean {
  if (entries.kind(entry) !== 'link') return false
  const [one, other] = [entry, entries.memory.number[entry]!].map((at) =>
    lookAt(targetPathOf(target, entries.path(at))),
  )
  return one !== undefined && one.ino === other?.ino && one.dev === other.dev
}

function listed(paths: readonly string[], { secrets, target }: FileRestore): string {
  const prefix = target === '/' ? '' : target
  const open = paths.filter((path) => !secrets.isSecret(path.slice(prefix.length)))
  const parts = open.slice(0, MAX_NAMED)
  if (open.length > parts.length) parts.push(`${open.length - parts.length} more`)
  const secret = paths.length - open.length
  if (secret > 0) parts.push(count(secret, 'secret file', 'secret files'))
  return parts.join(', ')
}

/** Bytes of files that are not there yet; what is rewritten in place has its room. */
function newBytes({ plan }: FileRestore): number {
  const { entries } = plan
  let bytes = 0
  for (let entry = ROOT + 1; entry < entries.count; entry++) {
    const action = entries.action(entry)
    if (entries.kind(entry) === 'file' && (action === 'create' || action === 'replace'))
      bytes += entries.memory.number[entry]!
  }
  return bytes
}

const count = (number: number, one: string, many: string): string => `${number} ${number === 1 ? one : many}`
