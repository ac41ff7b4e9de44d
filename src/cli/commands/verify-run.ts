import type { Assertion } from '../../config/assertion.ts'
import { loadAssertions } from '../../config/assertion-file.ts'
import type { ConfiguredSource } from '../../config/configuration.ts'
import type { StoredSnapshot } from '../../engine/repository/snapshot.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { chooseRestorePoint } from '../../recovery/restore-point.ts'
import { isVerification } from '../../recovery/verification.ts'
import { failureOfVerification, type VerifyItem, type VerifyResult } from '../../recovery/verify-run.ts'
import type { Command } from '../command.ts'
import { compareIn } from '../configured/compare.ts'
import { type Configured, chooseSources, loadConfigured } from '../configured/load.ts'
import { byRepository, inEachRepository, requireRepository } from '../configured/repositories.ts'
import { verifyIn, verifyItem } from '../configured/verify.ts'
import type { CommandContext } from '../context.ts'
import { type VerifyRunOptions, verifyRunDescription } from '../descriptions/verify-run.ts'

export const verifyRunCommand: Command<VerifyRunOptions> = {
  ...verifyRunDescription,
  async run(context, options, names) {
    const { output } = context
    const configured = await loadConfigured(context)
    const { configuration } = configured
    const ids = new Set(names.filter((name) => !configuration.sources.has(name) && /^[0-9a-f]{4,64}$/.test(name)))
    const sourceNames = names.filter((name) => !ids.has(name))
    const sources = options.all || sourceNames.length > 0 ? chooseSources(configuration, sourceNames) : []
    const choice: Choice = {
      sources: byRepository(sources),
      ids,
      more: options.assertionFile === undefined ? new Map() : await loadAssertions(options.assertionFile),
    }
    for (const name of choice.more.keys()) chooseSources(configuration, [name])
    const repositories =
      options.repository !== undefined
        ? [requireRepository(configuration, options.repository)]
        : ids.size > 0
          ? [...configuration.repositories.keys()]
          : [...choice.sources.keys()]
    const chooserOf =
      (repository: string) =>
      (snapshots: readonly StoredSnapshot[]): readonly VerifyItem[] =>
        itemsOf(snapshots, choice.sources.get(repository) ?? [], choice, { ...options, configured })
    if (options.againstSource) return await compareAll(context, configured, repositories, chooserOf)
    const results: VerifyResult[] = []
    const passedOver = await inEachRepository(context, repositories, async (repository) => {
      results.push(...(await verifyIn(context, configured, repository, chooserOf(repository))))
    })
    const unfound = [...ids].find((id) => !results.some(({ item }) => item.snapshot.id.startsWith(id)))
    const failure =
      failureOfVerification(results) ??
      passedOver ??
      (unfound === undefined
        ? undefined
        : new HoldfastError('HF_SNAPSHOT_NOT_FOUND', `no snapshot has the id ${unfound}`))
    if (output.json) output.message(summaryOf(results, failure))
    if (failure !== undefined) throw failure
    return 0
  },
}

const summaryOf = (results: readonly VerifyResult[], failure: unknown): object => ({
  message_type: 'summary',
  outcome: failure === undefined ? 'passed' : 'failed',
  verified: results.map(({ verification: { source, snapshot, outcome, proved } }) => ({
    source,
    snapshot_id: snapshot,
    outcome,
    level_proved: proved,
  })),
})

/** Compares with the live sources instead (S4-47). */
async function compareAll(
  context: CommandContext,
  configured: Configured,
  repositories: readonly string[],
  chooserOf: (repository: string) => (snapshots: readonly StoredSnapshot[]) => readonly VerifyItem[],
): Promise<number> {
  const differing: string[] = []
  const passedOver = await inEachRepository(context, repositories, async (repository) => {
    differing.push(...(await compareIn(context, configured, repository, chooserOf(repository))))
  })
  if (passedOver !== undefined) throw passedOver
  if (differing.length === 0) return 0
  throw new HoldfastError('HF_VERIFICATION_FAILED', `not what the source holds now: ${differing.join(', ')}`, {
    hint: 'back up again if the source is right, restore if the snapshot is',
  })
}

interface Choice {
  readonly sources: ReadonlyMap<string, readonly ConfiguredSource[]>
  /** Beginnings of ids of snapshots. */
  readonly ids: ReadonlySet<string>
  /** Assertions besides those of the configuration. */
  readonly more: ReadonlyMap<string, readonly Assertion[]>
}

function itemsOf(
  snapshots: readonly StoredSnapshot[],
  sources: readonly ConfiguredSource[],
  { ids, more }: Choice,
  { configured, at, level }: VerifyRunOptions & { readonly configured: Configured },
): readonly VerifyItem[] {
  const chosen = new Set<StoredSnapshot>()
  for (const source of sources) chosen.add(chooseRestorePoint(snapshots, source.name, at))
  for (const snapshot of snapshots)
    if (!isVerification(snapshot) && [...ids].some((id) => snapshot.id.startsWith(id))) chosen.add(snapshot)
  return [...chosen].map((snapshot) => verifyItem(configured, snapshot, level, more))
}
