import type { MonthlyGrowth } from '../../engine/repository/growth.ts'
import type { MonthlyCost } from '../../engine/storage/storage-cost.ts'
import type { StorageUsage } from '../../engine/storage/usage.ts'
import { formatSize } from '../../lib/sizes.ts'
import { renderTable } from './table.ts'

/** All that is known about what a repository takes. */
export interface UsageReport {
  readonly location: string
  readonly usage: StorageUsage
  /** undefined when the repository was not opened. */
  readonly growth: readonly MonthlyGrowth[] | undefined
  /** undefined without prices. */
  readonly cost: (MonthlyCost & { readonly currency: string }) | undefined
}

export function usageText({ location, usage, growth, cost }: UsageReport): string {
  const { classes, freeBytes, kinds } = usage
  const size = (bytes: number): string => formatSize(bytes).padStart(12)
  const parts = [
    `${location}\n`,
    renderTable({
      headers: ['Class', 'Files', '       Bytes', 'Hidden files', 'Hidden bytes'],
      rows: classes.map((row) => [
        row.storageClass,
        String(row.files),
        size(row.bytes),
        String(row.hiddenFiles),
        size(row.hiddenBytes),
      ]),
    }),
    [...kinds].map(([kind, bytes]) => `${kind}: ${formatSize(bytes)}`).join(', '),
    freeBytes === undefined ? 'free: the store does not tell' : `free: ${formatSize(freeBytes)}`,
  ]
  if (cost !== undefined) parts.push(...costLines(cost))
  if (growth !== undefined && growth.length > 0)
    parts.push(
      '',
      renderTable({
        headers: ['Month', 'Snapshots', '       Added'],
        rows: growth.map(({ month, snapshots, addedBytes }) => [
          month,
          String(snapshots),
          addedBytes === undefined ? '     unknown' : size(addedBytes),
        ]),
      }),
    )
  return parts.join('\n').trimEnd()
}

function costLines({ amount, currency, withoutPrice }: NonNullable<UsageReport['cost']>): string[] {
  const lines = [`about ${amount.toFixed(2)} ${currency} a month for keeping it`]
  if (withoutPrice.length > 0) lines.push(`without a price, and not counted: ${withoutPrice.join(', ')}`)
  return lines
}

export const usageJson = ({ location, usage, growth, cost }: UsageReport): object => ({
  message_type: 'usage',
  location,
  bytes: usage.bytes,
  hidden_bytes: usage.hiddenBytes,
  free_bytes: usage.freeBytes,
  kinds: Object.fromEntries(usage.kinds),
  classes: usage.classes.map(({ storageClass, files, bytes, hiddenFiles, hiddenBytes }) => ({
    storage_class: storageClass,
    files,
    bytes,
    hidden_files: hiddenFiles,
    hidden_bytes: hiddenBytes,
  })),
  growth: growth?.map(({ month, snapshots, addedBytes }) => ({ month, snapshots, added_bytes: addedBytes })),
  cost: cost && { currency: cost.currency, month: cost.amount, without_price: cost.withoutPrice },
})
