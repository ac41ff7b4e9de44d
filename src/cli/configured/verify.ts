import type { Assertion } from '../../config/assertion.ts'
import type { StoredSnapshot } from '../../engine/repository/snapshot.ts'
import { loadSnapshots } from '../../engine/repository/snapshots.ts'
import { shortId } from '../../lib/id.ts'
import type { Progress } from '../../lib/progress.ts'
import { sourceNameOf, type VerifyItem, type VerifyResult, verifySnapshots } from '../../recovery/verify-run.ts'
import type { ProofLevel } from '../../sources/proof.ts'
import type { CommandContext } from '../context.ts'
import { ProofReport } from '../output/proof-report.ts'
import { progressOf, withRepository } from '../repository-session.ts'
import { versionFacts } from '../version.ts'
import type { Configured } from './load.ts'

/** A snapshot with the source it is of, when that is configured, and what its owner asserts. */
export function verifyItem(
  { configuration, openSource }: Configured,
  snapshot: StoredSnapshot,
  level: ProofLevel,
  more: ReadonlyMap<string, readonly Assertion[]> = new Map(),
): VerifyItem {
  const source = configuration.sources.get(sourceNameOf(snapshot) ?? '')
  if (source === undefined) return { snapshot, source: undefined, assertions: [], level }
  const assertions = [configuration.assertions, more].flatMap((of) => of.get(source.name) ?? [])
  return { snapshot, source: openSource(source), assertions, level }
}

/**
 * Verifies the snapshots of a configured repository that `choose` takes of all. A generator gets the result of each item before it is asked for the
 * next.
 */
export async function verifyIn(
  context: CommandContext,
  { accessOf }: Configured,
  name: string,
  choose: (snapshots: readonly StoredSnapshot[]) => readonly VerifyItem[] | Generator<VerifyItem, void, VerifyResult>,
): Promise<readonly VerifyResult[]> {
  const { clock, output } = context
  const session = { lock: 'append', access: accessOf(name), withoutCache: true } as const
  return await withRepository(context, session, async ({ repository, signal }) => {
    const snapshots = await loadSnapshots(repository, {
      onUnreadable: ({ id, error }) => output.warn(`Warning: snapshot ${shortId(id)} is damaged: ${error.message}`),
      signal,
    })
    const items = choose(snapshots)
    if ('length' in items && items.length === 0) return []
    await repository.loadIndex(signal)
    return await verifySnapshots(repository, items, {
      programVersion: `holdfast ${versionFacts().version}`,
      clock,
      progress: brief(progressOf(context)),
      observer: new ProofReport(output),
      signal,
    })
  })
}

/** What is read is told as a check when it is done. */
const brief = (progress: Progress): Progress => ({
  ...progress,
  step: (name, total) => progress.step(name, total, 'brief'),
  note: (message) => progress.note(message, 'detail'),
})
