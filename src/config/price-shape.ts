import { z } from 'zod'

/** What a store charges for keeping bytes, as its owner looked it up. */
export interface PriceShape {
  readonly currency: string
  /** For a GiB kept for a month, by class of storage as the store names it; `default` for stores without classes. */
  readonly perGiBMonth: Readonly<Record<string, number>>
}

/** Prices change and depend on contracts, so there are none built in. */
export const priceTable: z.ZodType<PriceShape> = z
  .strictObject({
    currency: z.string().min(1),
    perGiBMonth: z
      .record(z.string().min(1), z.number().min(0))
      .describe('Price of a GiB kept for a month, by class of storage as the store names it.'),
  })
  .describe('What the store charges: for the estimate of storage:usage.')
