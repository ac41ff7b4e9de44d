import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import type { Id } from '../../lib/id.ts'
import { forEachParallel } from '../../lib/parallel.ts'
import { formatSize } from '../../lib/sizes.ts'
import type { PackFacts } from '../repository/index/master-index.ts'
import type { Repository } from '../repository/repository.ts'
import type { StorageClassFeature } from '../storage/features.ts'
import { sleepUnlessInterrupted, throwIfInterrupted } from '../storage/interruption.ts'
import type { FileRef } from '../storage/storage.ts'
import type { RestorePlan } from './restore-plan.ts'

/** Packs that a restore needs and that cannot be read before the store has brought them back. */
export interface ArchivedPacks {
  readonly packs: readonly PackFacts[]
  /** Of these, how many nobody has asked for yet. */
  readonly unasked: readonly Id[]
  readonly bytes: number
  /** All packs of the plan. */
  readonly needed: number
}

/** Between two looks at a pack that is being brought back. */
const LOOK_AGAIN_MS = 60_000

const fileOf = (name: Id): FileRef => ({ kind: 'data', name })

/**
 * Which packs of `plan` lie in an archive of the store; undefined when none does. Where a few of them, from all over the plan, can be read, the
 * others are not asked about: a store without archives costs one round trip. What is missed that way is found when it is read.
 */
export async function findArchivedPacks(
  { storage, index }: Repository,
  { writing }: RestorePlan,
  signal?: AbortSignal,
): Promise<ArchivedPacks | undefined> {
  const { classes } = storage.features
  const needed = [...new Set(writing.tasks.map(({ pack }) => index.packId(pack)))]
  if (classes === undefined || needed.length === 0) return undefined
  const { connections } = storage.properties
  const packs: PackFacts[] = []
  const unasked: Id[] = []
  const look = (names: readonly Id[]): Promise<void> =>
    forEachParallel(names, connections, async (name) => {
      const state = await classes.state(fileOf(name), { signal }).catch((error: unknown) => {
        throwIfInterrupted(signal)
        if (!isHoldfastError(error)) throw error
        // What cannot even be looked at is told when it is read, with the file that lacks it.
        return 'readable'
      })
      if (state === 'readable') return
      packs.push(index.packFacts(name)!)
      if (state === 'archived') unasked.push(name)
    })
  const some = sample(needed, connections)
  await look(some)
  if (packs.length === 0) return undefined
  const asked = new Set(some)
  await look(needed.filter((name) => !asked.has(name)))
  return { packs, unasked, bytes: packs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0), needed: needed.length }
}

/** Up to `count`, evenly spread. */
const sample = <T>(all: readonly T[], count: number): readonly T[] =>
  all.length <= count
    ? all
    : Array.from({ length: count }, (_, i) => all[Math.floor((i * (all.length - 1)) / Math.max(1, count - 1))]!)

/** `12 of 40 packs (180 MiB) that are needed lie in an archive`. */
export const describeArchived = ({ packs, bytes, needed }: ArchivedPacks): string =>
  `${packs.length} of ${needed} packs (${formatSize(bytes)}) that are needed lie in an archive`

export interface BringBackOptions {
  /** Told once, before the first wait. */
  readonly onWarning?: ((message: string) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Asks the store for all archived packs of a plan at the same time, and waits until they can be read. For before anything is written.
 * @throws HoldfastError HF_STORAGE_ARCHIVED when the owner has not said that packs are to be brought back, or it takes longer than he said
 */
export async function bringBackPacks(
  repository: Repository,
  archived: ArchivedPacks,
  { onWarning, signal }: BringBackOptions,
): Promise<void> {
  const { storage, clock } = repository
  const classes: StorageClassFeature = storage.features.classes!
  const { bringsBack } = classes
  const what = `${describeArchived(archived)} of ${storage.location}`
  if (bringsBack === undefined)
    throw new HoldfastError('HF_STORAGE_ARCHIVED', `${what}, and nothing was restored`, {
      hint: classes.archiveHint ?? 'Have them brought back with the tools of the store, and run this again.',
    })
  const { days, timeoutMs, usualWait } = bringsBack
  await forEachParallel(archived.unasked, storage.properties.connections, (name) =>
    classes.requestRestore(fileOf(name), days, { signal }),
  )
  const hours = Math.round(timeoutMs / 360_000) / 10
  onWarning?.(
    `${what}: ${archived.unasked.length} were asked for now, for ${days} days; this waits for up to ${hours} hours${usualWait === undefined ? '' : ` (usual: ${usualWait})`}`,
  )
  const startNs = clock.now()
  for (const [at, { id }] of archived.packs.entries())
    while ((await classes.state(fileOf(id), { signal })) !== 'readable') {
      if (Number(clock.now() - startNs) / 1e6 >= timeoutMs)
        throw new HoldfastError(
          'HF_STORAGE_ARCHIVED',
          `${archived.packs.length - at} of ${archived.packs.length} packs have not come back from the archive of ${storage.location} in time; nothing was restored`,
          { hint: 'They are on their way: run this again later.' },
        )
      await sleepUnlessInterrupted(clock, LOOK_AGAIN_MS, signal)
    }
}
