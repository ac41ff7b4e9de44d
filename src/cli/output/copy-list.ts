import { type CopyStatus, daysSince, type RulePart, ruleParts, type SourceCopies } from '../../control/copy-status.ts'
import { formatTime } from '../../lib/go-time.ts'
import { shortId } from '../../lib/id.ts'
import { formatLocalTime } from './local-time.ts'
import { renderTable } from './table.ts'

const titles: Readonly<Record<RulePart, string>> = {
  copies: '3 copies',
  media: '2 media',
  offsite: '1 offsite',
  immutable: '1 immutable',
  errors: '0 errors',
}

/** For people: a row for each copy, and how each source stands. `now`: nanoseconds since 1970. */
export function copyListText(all: readonly SourceCopies[], now: bigint): string {
  const table = renderTable({
    headers: ['Source', 'Repository', 'Medium', 'Newest', 'Behind', 'Offsite', 'Immutable', 'Proved'],
    rows: all.flatMap(({ source, copies }) => copies.map((copy) => [source, ...rowOf(copy, now)])),
  })
  const rules = all.map(({ source, rule }) =>
    [
      `${source}:`,
      ...ruleParts.map((part) => `  ${titles[part].padEnd(12)}${rule[part].holds.padEnd(9)}${rule[part].detail}`),
    ].join('\n'),
  )
  return `${table}\n${rules.join('\n')}\n`
}

function rowOf({ place, newest, behind, proof }: CopyStatus, now: bigint): readonly string[] {
  const problem = place.problem === undefined ? '' : `\n${place.problem}`
  return [
    `${place.repository}${problem}`,
    place.medium,
    newest === undefined ? (place.snapshots === undefined ? 'unknown' : 'none') : formatLocalTime(newest.time),
    place.snapshots === undefined ? 'unknown' : String(behind),
    place.offsite === undefined ? 'unknown' : place.offsite ? 'yes' : 'no',
    place.snapshots === undefined ? 'unknown' : (place.immutable ?? 'no'),
    place.snapshots === undefined ? 'unknown' : proofText(proof, now),
  ]
}

function proofText(proof: CopyStatus['proof'], now: bigint): string {
  if (proof === undefined) return 'no'
  const days = daysSince(proof.at, now)
  const when = days === 0 ? 'today' : `${days} ${days === 1 ? 'day' : 'days'} ago`
  if (proof.failed !== undefined) return `failed at ${proof.failed}, ${when}`
  return proof.level === undefined ? `looked at ${when}, nothing proved` : `${proof.level}, ${when}`
}

/** For programs. */
export const copyListJson = ({ source, copies, rule }: SourceCopies): object => ({
  source,
  copies: copies.map(({ place, newest, behind, proof }) => ({
    repository: place.repository,
    medium: place.medium,
    offsite: place.offsite ?? null,
    immutable: place.immutable ?? null,
    problem: place.problem,
    newest: newest && { id: newest.id, short_id: shortId(newest.id), time: formatTime(newest.time) },
    behind: place.snapshots === undefined ? null : behind,
    proof: proof && { level: proof.level ?? null, failed: proof.failed ?? null, time: formatTime(proof.at) },
  })),
  rule,
})
