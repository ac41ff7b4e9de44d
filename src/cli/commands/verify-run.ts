import type { Assertion } from '../../config/assertion.ts'
import { loadAssertions } from '../../config/assertion-file.ts'
import type { ConfiguredSource } from '../../config/configuration.ts'
import type { StoredSnapshot } from '../../engine/repository/snapshot.ts'
import { loadSnapshots } from '../../engine/repository/snapshots.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { shortId } from '../../lib/id.ts'
import { chooseRestorePoint } from '../../recovery/restore-point.ts'
import { isVerification } from '../../recovery/verification.ts'
import {
  failureOfVerification,
  sourceNameOf,
  type VerifyItem,
  type VerifyResult,
  verifySnapshots,
} from '../../recovery/verify-run.ts'
import type { Command } from '../command.ts'
import { type Configured, chooseSources, loadConfigured } from '../configured/load.ts'
import { byRepository, inEachRepository, requireRepository } from '../configured/repositories.ts'
import type { CommandContext } from '../context.ts'
import { type VerifyRunOptions, verifyRunDescription } from '../descriptions/verify-run.ts'
import { ProofReport } from '../output/proof-report.ts'
import { progressOf, withRepository } from '../repository-session.ts'
import { versionFacts } from '../version.ts'

export const verifyRunCommand: Command<VerifyRunOptions> = {
  ...verifyRunDescription,
  async run(context, options, names) {
    const { output } = context
    const configured = await loadConfigured(context, options)
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
    const results: VerifyResult[] = []
    const passedOver = await inEachRepository(context, repositories, async (repository) => {
      results.push(...(await verifyIn(context, configured, repository, choice, options)))
    })
    const unfound = [...ids].find((id) => !results.some(({ item }) => item.snapshot.id.startsWith(id)))
    const failure =
      failureOfVerification(results) ??
      passedOver ??
      (unfound === undefined
        ? undefined
        : new HoldfastError('HF_SNAPSHOT_NOT_FOUND', `no snapshot has the id ${unfound}`))
    if (output.json)
      output.message({
        message_type: 'summary',
        outcome: failure === undefined ? 'passed' : 'failed',
        verified: results.map(({ verification: { source, snapshot, outcome, proved } }) => ({
          source,
          snapshot_id: snapshot,
          outcome,
          level_proved: proved,
        })),
      })
    if (failure !== undefined) throw failure
    return 0
  },
}

interface Choice {
  readonly sources: ReadonlyMap<string, readonly ConfiguredSource[]>
  /** Beginnings of ids of snapshots. */
  readonly ids: ReadonlySet<string>
  /** Assertions besides those of the configuration. */
  readonly more: ReadonlyMap<string, readonly Assertion[]>
}

async function verifyIn(
  context: CommandContext,
  configured: Configured,
  name: string,
  choice: Choice,
  { at, level }: VerifyRunOptions,
): Promise<readonly VerifyResult[]> {
  const { clock, output } = context
  const { configuration, openSource, accessOf } = configured
  const session = { lock: 'append', access: accessOf(name), withoutCache: true } as const
  return await withRepository(context, session, async ({ repository, signal }) => {
    const snapshots = await loadSnapshots(repository, {
      onUnreadable: ({ id, error }) => output.warn(`Warning: snapshot ${shortId(id)} is damaged: ${error.message}`),
      signal,
    })
    const chosen = new Set<StoredSnapshot>()
    for (const source of choice.sources.get(name) ?? []) chosen.add(chooseRestorePoint(snapshots, source.name, at))
    for (const snapshot of snapshots)
      if (!isVerification(snapshot) && [...choice.ids].some((id) => snapshot.id.startsWith(id))) chosen.add(snapshot)
    if (chosen.size === 0) return []
    await repository.loadIndex(signal)
    const items = [...chosen].map((snapshot): VerifyItem => {
      const source = configuration.sources.get(sourceNameOf(snapshot) ?? '')
      if (source === undefined) return { snapshot, source: undefined, assertions: [] }
      const assertions = [configuration.assertions, choice.more].flatMap((of) => of.get(source.name) ?? [])
      return { snapshot, source: openSource(source), assertions }
    })
    return await verifySnapshots(repository, items, {
      level,
      programVersion: `holdfast ${versionFacts().version}`,
      clock,
      progress: progressOf(context),
      observer: new ProofReport(output),
      signal,
    })
  })
}
