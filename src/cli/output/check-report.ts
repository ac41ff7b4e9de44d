import type { CheckResult } from '../../engine/repository/check/check.ts'
import type { Finding } from '../../engine/repository/check/finding.ts'
import type { Output } from './output.ts'

/** Tells one finding of a check as soon as it is known. Untidy packs are told of one by one only when asked for more, and summed up later. */
export function printFinding(output: Output, finding: Finding): void {
  const { severity, kind, object, message, details, hint } = finding
  if (severity === 'hint') output.detail(message)
  else if (output.json)
    output.warnMessage({ message_type: severity, message: [message, ...details].join('\n'), kind, object, hint })
  else output.warn([message, ...details.map((detail) => `  ${detail}`)].join('\n'))
}

/** What a check came to, and what to do about it. */
export function printOutcome(output: Output, result: CheckResult): void {
  const { errors, brokenPacks, brokenSnapshots } = result
  if (output.json) {
    output.message({
      message_type: 'summary',
      num_errors: errors,
      broken_packs: brokenPacks.length === 0 ? null : brokenPacks,
      broken_snapshots: brokenSnapshots.length === 0 ? undefined : brokenSnapshots,
      suggest_repair_index: result.suggestRepairIndex,
      suggest_prune: result.suggestPrune,
    })
    return
  }
  for (const line of untidiness(result)) output.print(line)
  for (const paragraph of advice(result)) output.warn(`\n${paragraph}`)
  if (errors === 0) output.print('no errors were found')
  else output.warn('')
}

/** The summary restic prints in JSON when the check could not be done. */
export function printUnchecked(output: Output): void {
  if (output.json)
    output.message({
      message_type: 'summary',
      num_errors: 1,
      broken_packs: null,
      suggest_repair_index: false,
      suggest_prune: false,
    })
}

/** `3 packs: mixed packs do no harm; "holdfast prune" takes them apart`. */
function untidiness({ findings }: CheckResult): string[] {
  const counts = new Map<string, number>()
  for (const { severity, hint } of findings)
    if (severity === 'hint' && hint !== undefined) counts.set(hint, (counts.get(hint) ?? 0) + 1)
  return [...counts].map(([hint, count]) => `${count} ${count === 1 ? 'pack' : 'packs'}: ${hint}`)
}

/** One paragraph for each thing to do; hints that name their object are gathered to one command line. */
function advice({ findings, brokenPacks, brokenSnapshots }: CheckResult): string[] {
  const paragraphs: string[] = []
  if (brokenPacks.length > 0)
    paragraphs.push(
      `Damaged packs can be replaced by what is intact in them. What is lost comes back when the same files are backed up again; else cut it out of the snapshots:\n\nholdfast repair packs ${brokenPacks.join(' ')}\nholdfast repair snapshots --forget`,
    )
  if (brokenSnapshots.length > 0)
    paragraphs.push(
      `Bring damaged snapshot files back from a copy of the repository, or remove them:\n\nholdfast repair snapshots --forget ${brokenSnapshots.join(' ')}`,
    )
  const named = new Set([...brokenPacks, ...brokenSnapshots])
  const hints = new Set<string>()
  for (const { severity, object, hint } of findings)
    if (severity !== 'hint' && hint !== undefined && !(object.id !== undefined && named.has(object.id))) hints.add(hint)
  return [...paragraphs, ...hints].map((paragraph) => paragraph.charAt(0).toUpperCase() + paragraph.slice(1))
}
