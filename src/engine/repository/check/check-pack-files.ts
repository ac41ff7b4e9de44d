import type { Id } from '../../../lib/id.ts'
import type { Repository } from '../repository.ts'
import type { Report } from './finding.ts'

/**
 * Compares the packs in the storage with those of the index: missing, of a wrong size, in no index. Returns the sizes of those that are
 * there and in the index.
 */
export async function checkPackFiles(
  repository: Repository,
  report: Report,
  signal?: AbortSignal,
): Promise<ReadonlyMap<Id, number>> {
  const { index, storage } = repository
  const present = new Map<Id, number>()
  for await (const { name, sizeBytes } of storage.list('data', { signal })) {
    const expected = index.packFacts(name)?.sizeBytes
    const object = { type: 'data', id: name } as const
    if (expected === undefined) {
      report({
        kind: 'pack-unindexed',
        severity: 'hint',
        object,
        message: `pack ${name}: not referenced in any index`,
        details: [],
        hint: 'left behind by an interrupted run: "holdfast prune" removes it, "holdfast repair index" takes it into the index',
      })
      continue
    }
    present.set(name, sizeBytes)
    if (sizeBytes !== expected)
      report({
        kind: 'pack-size',
        severity: 'error',
        object,
        message: `pack ${name}: unexpected file size: got ${sizeBytes}, expected ${expected}`,
        details: [],
        hint: `run "holdfast repair packs ${name}", then "holdfast repair snapshots --forget"`,
      })
  }
  for (const { id } of index.packs())
    if (!present.has(id))
      report({
        kind: 'pack-missing',
        severity: 'error',
        object: { type: 'data', id },
        message: `pack ${id}: does not exist`,
        details: [],
        hint: 'bring the file back from a copy of the repository, or run "holdfast repair index", then "holdfast repair snapshots --forget"',
      })
  return present
}
