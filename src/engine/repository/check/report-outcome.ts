import type { Id } from '../../../lib/id.ts'
import type { Report } from './finding.ts'
import type { PackOutcome } from './read-messages.ts'

/** Reports what is wrong with a pack that was read, if anything. */
export function reportOutcome(id: Id, { verdict, problems, error }: PackOutcome, report: Report): void {
  const object = { type: 'data', id } as const
  switch (verdict) {
    case 'intact':
      return
    case 'damaged':
      report({
        kind: 'pack-damaged',
        severity: 'error',
        object,
        message: `pack ${id} contains ${problems.length} errors`,
        details: problems,
        hint: `run "holdfast repair packs ${id}", then "holdfast repair snapshots --forget"`,
      })
      return
    case 'passing-failure':
      report({
        kind: 'pack-passing-failure',
        severity: 'error',
        object,
        message: `pack ${id}: check successful on second attempt; the first one failed`,
        details: problems,
        hint: 'the pack is intact: look for faulty memory, cables, disks or network on the way to it',
      })
      return
    case 'unreadable':
      report({
        kind: 'pack-unreadable',
        severity: 'error',
        object,
        message: `pack ${id} cannot be read: ${error?.message ?? 'unknown reason'}`,
        details: [],
        hint: 'check again once the storage works',
      })
  }
}
