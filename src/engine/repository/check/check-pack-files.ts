import { isHoldfastError } from '../../../lib/errors.ts'
import type { Id } from '../../../lib/id.ts'
import { forEachParallel } from '../../../lib/parallel.ts'
import type { Repository } from '../repository.ts'
import { type Report, reasonOf } from './finding.ts'

/** Sizes of all packs in the storage. */
export async function listPacks({ storage }: Repository, signal?: AbortSignal): Promise<ReadonlyMap<Id, number>> {
  const sizes = new Map<Id, number>()
  for await (const { name, sizeBytes } of storage.list('data', { signal })) sizes.set(name, sizeBytes)
  return sizes
}

/** Compares the packs that are there with those of the index: missing, of a wrong size, in no index. */
export async function checkPackFiles(
  repository: Repository,
  present: ReadonlyMap<Id, number>,
  report: Report,
  signal?: AbortSignal,
): Promise<void> {
  const { index, storage } = repository
  for (const [id, sizeBytes] of present) {
    const expected = index.packFacts(id)?.sizeBytes
    if (expected === undefined)
      report({
        kind: 'pack-unindexed',
        severity: 'hint',
        object: { type: 'data', id },
        message: `pack ${id}: not referenced in any index`,
        details: [],
        hint: 'left behind by an interrupted run: "holdfast prune" removes it, "holdfast repair index" takes it into the index',
      })
    else if (expected !== sizeBytes) reportSize(id, sizeBytes, expected, report)
  }
  const missing = [...index.packs()].filter(({ id }) => !present.has(id))
  await forEachParallel(missing, storage.properties.connections, async ({ id, sizeBytes: expected }) => {
    // Packs were listed before the index was read: one stored in between is not missing.
    const stored = await sizeOf(repository, id, signal)
    if (typeof stored === 'number') {
      if (stored !== expected) reportSize(id, stored, expected, report)
      return
    }
    report({
      kind: 'pack-missing',
      severity: 'error',
      object: { type: 'data', id },
      message: `pack ${id}: ${stored}`,
      details: [],
      hint: 'bring the file back from a copy of the repository, or run "holdfast repair index", then "holdfast repair snapshots --forget"',
    })
  })
}

const reportSize = (id: Id, got: number, expected: number, report: Report): void =>
  report({
    kind: 'pack-size',
    severity: 'error',
    object: { type: 'data', id },
    message: `pack ${id}: unexpected file size: got ${got}, expected ${expected}`,
    details: [],
    hint: `run "holdfast repair packs ${id}", then "holdfast repair snapshots --forget"`,
  })

/** The size, or why there is none. */
async function sizeOf({ storage }: Repository, id: Id, signal: AbortSignal | undefined): Promise<number | string> {
  try {
    return (await storage.stat({ kind: 'data', name: id }, { signal })).sizeBytes
  } catch (error) {
    if (isHoldfastError(error, 'HF_INTERRUPTED')) throw error
    return isHoldfastError(error, 'HF_STORAGE_NOT_FOUND') ? 'does not exist' : reasonOf(error)
  }
}
