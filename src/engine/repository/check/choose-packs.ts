import type { Id } from '../../../lib/id.ts'
import { randomBelow } from '../../../lib/random.ts'

/** Which packs to read: all, part n of t (by name, so that t runs see every pack once), a random share, or a random amount. */
export type PackSubset =
  | { readonly kind: 'all' }
  | { readonly kind: 'part'; readonly part: number; readonly parts: number }
  | { readonly kind: 'percent'; readonly percent: number }
  | { readonly kind: 'bytes'; readonly bytes: number }

/** The packs of `sizes` (id and bytes) that belong to the subset, at least one of the random kinds when there is any. */
export function choosePacks(sizes: ReadonlyMap<Id, number>, subset: PackSubset): ReadonlyMap<Id, number> {
  switch (subset.kind) {
    case 'all':
      return sizes
    case 'part': {
      // restic's rule, so that parts read by either program add up.
      const { part, parts } = subset
      return new Map([...sizes].filter(([id]) => Number.parseInt(id.slice(0, 2), 16) % parts === part - 1))
    }
    case 'percent':
      return new Map(shuffled(sizes).slice(0, Math.max(1, Math.floor((sizes.size * subset.percent) / 100))))
    case 'bytes': {
      let bytes = 0
      const chosen = new Map<Id, number>()
      for (const [id, size] of shuffled(sizes)) {
        if (bytes >= subset.bytes) break
        chosen.set(id, size)
        bytes += size
      }
      return chosen
    }
  }
}

function shuffled(sizes: ReadonlyMap<Id, number>): (readonly [Id, number])[] {
  const list = [...sizes]
  for (let i = list.length - 1; i > 0; i--) {
    const j = randomBelow(i + 1)
    const swapped = list[i]!
    list[i] = list[j]!
    list[j] = swapped
  }
  return list
}
