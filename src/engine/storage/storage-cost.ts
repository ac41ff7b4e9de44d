import type { StorageUsage } from './usage.ts'

export interface MonthlyCost {
  readonly amount: number
  /** Classes of storage without a price, whose bytes are not in the amount. */
  readonly withoutPrice: readonly string[]
}

const GIB = 2 ** 30

/** What keeping everything for a month costs, hidden files included, by prices of a GiB and month. */
export function monthlyCost(
  { classes }: Pick<StorageUsage, 'classes'>,
  perGiBMonth: Readonly<Record<string, number>>,
): MonthlyCost {
  let amount = 0
  const withoutPrice: string[] = []
  for (const { storageClass, bytes, hiddenBytes } of classes) {
    const price = Object.hasOwn(perGiBMonth, storageClass) ? perGiBMonth[storageClass]! : undefined
    if (price === undefined) withoutPrice.push(storageClass)
    else amount += ((bytes + hiddenBytes) / GIB) * price
  }
  return { amount, withoutPrice }
}
