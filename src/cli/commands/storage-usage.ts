import { type MonthlyGrowth, monthlyGrowth } from '../../engine/repository/growth.ts'
import { loadSnapshots } from '../../engine/repository/snapshots.ts'
import { monthlyCost } from '../../engine/storage/storage-cost.ts'
import { measureUsage } from '../../engine/storage/usage.ts'
import type { Command } from '../command.ts'
import { type StorageUsageOptions, storageUsageDescription } from '../descriptions/storage.ts'
import { findStore, type NamedStore } from '../named-store.ts'
import { type UsageReport, usageJson, usageText } from '../output/usage-report.ts'
import { withRepository } from '../repository-session.ts'

export const storageUsageCommand: Command<StorageUsageOptions> = {
  ...storageUsageDescription,
  async run(context, { withoutSnapshots }, [place]) {
    const { output, signal } = context
    const store = await findStore(context, place)
    const storage = await store.open()
    try {
      const usage = await measureUsage(storage, { signal })
      const prices = store.configured?.prices
      const report: UsageReport = {
        location: storage.location,
        usage,
        growth: withoutSnapshots ? undefined : await growthOf(store),
        cost: prices && { currency: prices.currency, ...monthlyCost(usage, prices.perGiBMonth) },
      }
      if (output.json) output.message(usageJson(report))
      else output.result(usageText(report))
      return 0
    } finally {
      await storage.close()
    }
  },
}

const growthOf = ({ context, access }: NamedStore): Promise<readonly MonthlyGrowth[]> =>
  withRepository(context, { lock: 'read', access }, async ({ repository, signal }) => {
    const snapshots = await loadSnapshots(repository, {
      signal,
      onUnreadable: ({ error }) => context.output.warn(`Warning: ${error.message}`),
    })
    return monthlyGrowth(snapshots)
  })
