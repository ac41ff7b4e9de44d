import type { StoredSnapshot } from '../../engine/repository/snapshot.ts'
import { loadSnapshots } from '../../engine/repository/snapshots.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { shortId } from '../../lib/id.ts'
import { sourceNameOf, type VerifyItem } from '../../recovery/verify-run.ts'
import type { ListedItems, SourceComparison } from '../../sources/proof.ts'
import type { CommandContext } from '../context.ts'
import type { Output } from '../output/output.ts'
import { quoteUnprintable } from '../output/width.ts'
import { withRepository } from '../repository-session.ts'
import type { Configured } from './load.ts'

/**
 * Compares snapshots of a configured repository with what their sources hold now, and prints what differs.
 * @returns the names of the sources that differ
 * @throws HoldfastError HF_UNSUPPORTED for a source that changes as long as it lives
 */
export async function compareIn(
  context: CommandContext,
  { accessOf }: Configured,
  name: string,
  choose: (snapshots: readonly StoredSnapshot[]) => readonly VerifyItem[],
): Promise<readonly string[]> {
  const { output } = context
  return await withRepository(context, { lock: 'read', access: accessOf(name) }, async ({ repository, signal }) => {
    const items = choose(await loadSnapshots(repository, { signal }))
    await repository.loadIndex(signal)
    const differing: string[] = []
    for (const { snapshot, source } of items) {
      const compare = source?.proof?.compareWithSource
      if (compare === undefined)
        throw new HoldfastError(
          'HF_UNSUPPORTED',
          `${sourceNameOf(snapshot) ?? shortId(snapshot.id)} cannot be compared with its source`,
          { hint: 'only files, configuration and logs can; prove it without --against-source' },
        )
      const comparison = await compare.call(source!.proof, { repository, snapshot, signal })
      print(output, source!.name, snapshot, comparison)
      if (differs(comparison)) differing.push(source!.name)
    }
    return differing
  })
}

const kinds = ['changed', 'missing', 'extra', 'unreadable'] as const

const differs = (comparison: SourceComparison): boolean => kinds.some((kind) => comparison[kind].count > 0)

function print(output: Output, source: string, snapshot: StoredSnapshot, comparison: SourceComparison): void {
  if (output.json) {
    output.message({ message_type: 'comparison', source, snapshot_id: snapshot.id, ...comparison })
    return
  }
  for (const kind of kinds) printItems(output, kind, comparison[kind])
  const counts = kinds.map((kind) => `${comparison[kind].count} ${kind}`)
  output.print(
    `${source}: ${differs(comparison) ? 'differs from' : 'equals'} snapshot ${shortId(snapshot.id)}: ${comparison.equal} equal, ${counts.join(', ')}`,
  )
}

function printItems(output: Output, kind: string, { count, names }: ListedItems): void {
  for (const name of names) output.print(`  ${kind.padEnd(10)}  ${quoteUnprintable(name)}`)
  if (count > names.length) output.print(`  ${kind.padEnd(10)}  and ${count - names.length} more`)
}
