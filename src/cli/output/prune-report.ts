import type { PrunePlan, PruneStats, RetainedSpace } from '../../engine/repository/prune/prune-plan.ts'
import { describeRetention } from '../../engine/repository/retention/retained-files.ts'
import { formatPercent, formatSize } from '../../lib/sizes.ts'
import { formatIdSet } from './id-set.ts'
import type { Output } from './output.ts'

/** Tells what prune is going to do, or would do, as restic does; in JSON as one message with the names of restic's master branch. */
export function printPrunePlan(output: Output, { stats, ...plan }: PrunePlan, dryRun: boolean): void {
  if (output.json) {
    const { packs, bytes, earliestMs } = plan.retained
    const until = Number.isFinite(earliestMs) ? { earliest: new Date(earliestMs).toISOString() } : {}
    const retained = packs > 0 ? { retained: { packs, bytes, ...until } } : {}
    output.message({ message_type: 'summary', ...stats, ...retained, ...(dryRun ? { dry_run: true } : {}) })
    return
  }
  if (dryRun) output.print('\nWould have made the following changes:')
  printUsage(output, stats)
  printChanges(output, stats)
  printPacks(output, stats)
  if (plan.retained.packs > 0) printRetained(output, plan.retained)
  if (!dryRun) return
  if (plan.removeFirst.length > 0)
    output.detail(`Would have removed the following unreferenced packs:\n${formatIdSet(plan.removeFirst)}\n`)
  output.detail(`Would have repacked and removed the following packs:\n${formatIdSet(plan.repack)}\n`)
  output.detail(`Would have removed the following no longer used packs:\n${formatIdSet(plan.remove)}\n`)
}

function printUsage(output: Output, { blobs, bytes }: PruneStats): void {
  output.detail(`\nused:         ${row(blobs.used, bytes.used)}`)
  if (blobs.duplicate > 0) output.detail(`duplicates:   ${row(blobs.duplicate, bytes.duplicate)}`)
  output.detail(`unused:       ${row(blobs.unused, bytes.unused)}`)
  if (bytes.unreferenced > 0) output.detail(`unreferenced:                    ${formatSize(bytes.unreferenced)}`)
  output.detail(`total:        ${row(blobs.total, bytes.total)}`)
  output.detail(`unused size: ${formatPercent(bytes.duplicate + bytes.unused, bytes.total)} of total size`)
}

function printChanges(output: Output, { blobs, bytes }: PruneStats): void {
  output.print(`\nto repack:    ${row(blobs.repack, bytes.repack)}`)
  output.print(`this removes: ${row(blobs.repack_remove, bytes.repack_remove)}`)
  output.print(`to delete:    ${row(blobs.remove, bytes.remove + bytes.unreferenced)}`)
  output.print(`total prune:  ${row(blobs.remove_total, bytes.remove_total)}`)
  if (bytes.uncompressed > 0) output.print(`not yet compressed:              ${formatSize(bytes.uncompressed)}`)
  output.print(`remaining:    ${row(blobs.remaining, bytes.remaining)}`)
  const share = formatPercent(bytes.remaining_unused, bytes.remaining)
  output.print(`unused size after prune: ${formatSize(bytes.remaining_unused)} (${share} of remaining size)\n\n`)
}

function printPacks(output: Output, { packfiles }: PruneStats): void {
  output.detail(`totally used packs: ${ten(packfiles.used)}`)
  output.detail(`partly used packs:  ${ten(packfiles.partly_used)}`)
  output.detail(`unused packs:       ${ten(packfiles.unused)}\n\n`)
  output.detail(`to keep:      ${ten(packfiles.keep)} packs`)
  output.detail(`to repack:    ${ten(packfiles.repack)} packs`)
  output.detail(`to delete:    ${ten(packfiles.remove)} packs`)
  if (packfiles.unreferenced > 0) output.detail(`to delete:    ${ten(packfiles.unreferenced)} unreferenced packs\n\n`)
}

function printRetained(output: Output, { packs, bytes, earliestMs }: RetainedSpace): void {
  output.print(`retained:     ${ten(packs)} packs / ${formatSize(bytes)} unused, which the storage keeps`)
  output.print(`              (the first of them ${describeRetention(earliestMs)})\n`)
}

const row = (count: number, sizeBytes: number): string => `${ten(count)} blobs / ${formatSize(sizeBytes)}`

const ten = (count: number): string => String(count).padStart(10)
