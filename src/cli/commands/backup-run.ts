import type { ConfiguredSource } from '../../config/configuration.ts'
import type { VerifyLevel } from '../../config/shape.ts'
import { failureOf, runBackups, type SourceResult } from '../../control/backup-run.ts'
import { toHex } from '../../lib/bytes.ts'
import { isHoldfastError } from '../../lib/errors.ts'
import { randomBytes } from '../../lib/random.ts'
import { proofsOf } from '../../recovery/verification.ts'
import { failureOfVerification, type VerifyResult } from '../../recovery/verify-run.ts'
import type { Command } from '../command.ts'
import { type Configured, chooseSources, loadConfigured } from '../configured/load.ts'
import { byRepository, inEachRepository } from '../configured/repositories.ts'
import { verifyIn, verifyItem } from '../configured/verify.ts'
import type { CommandContext } from '../context.ts'
import { type BackupRunOptions, backupRunDescription } from '../descriptions/backup-run.ts'
import { RunReport } from '../output/run-report.ts'
import { withRepository } from '../repository-session.ts'
import { versionFacts } from '../version.ts'

export const backupRunCommand: Command<BackupRunOptions> = {
  ...backupRunDescription,
  async run(context, options, names) {
    const { output } = context
    const configured = await loadConfigured(context, options)
    const sources = chooseSources(configured.configuration, names)
    const run = toHex(randomBytes(8))
    const results: SourceResult[] = []
    const verified: VerifyResult[] = []
    const groups = byRepository(sources)
    const unopened = await inEachRepository(context, [...groups.keys()], async (repository) => {
      const made = await backUpInto(context, configured, repository, groups.get(repository)!, { ...options, run })
      results.push(...made)
      verified.push(...(await verifyNew(context, configured, repository, made, options.verify)))
    })
    const failed = failureOf(results)
    // Items that could not be read weigh less than a snapshot that is not as it should be.
    const failure =
      unopened ??
      (isHoldfastError(failed, 'HF_INCOMPLETE')
        ? (failureOfVerification(verified) ?? failed)
        : (failed ?? failureOfVerification(verified)))
    if (output.json)
      output.message({
        message_type: 'summary',
        run,
        outcome:
          failure === undefined ? 'complete' : isHoldfastError(failure, 'HF_INCOMPLETE') ? 'incomplete' : 'failed',
        sources: results.map(({ source, outcome }) => ({ source: source.name, outcome })),
      })
    if (failure !== undefined) throw failure
    return 0
  },
}

async function backUpInto(
  context: CommandContext,
  { openSource, accessOf }: Configured,
  name: string,
  sources: readonly ConfiguredSource[],
  { type, parallel, run }: BackupRunOptions & { readonly run: string },
): Promise<readonly SourceResult[]> {
  const { clock, environment } = context
  const session = { lock: 'append', access: accessOf(name) } as const
  return withRepository(context, session, async ({ repository, signal }) => {
    await repository.loadIndex(signal)
    const report = new RunReport(context)
    try {
      return await runBackups(
        repository,
        sources.map((source) => ({ source: openSource(source), hooks: source.hooks, require: source.require })),
        {
          run,
          type,
          parallel,
          programVersion: `holdfast ${versionFacts().version}`,
          clock,
          environment,
          observer: report,
          signal,
        },
      )
    } finally {
      report.stop()
    }
  })
}

/** Proves what was just made, as far as is configured. */
async function verifyNew(
  context: CommandContext,
  configured: Configured,
  name: string,
  made: readonly SourceResult[],
  level: VerifyLevel | undefined,
): Promise<readonly VerifyResult[]> {
  const asked = made.flatMap(({ source, backup }) => {
    const snapshot = backup?.result.snapshot
    const wanted = level ?? configured.configuration.sources.get(source.name)!.verify
    return snapshot === undefined || wanted === 'none' ? [] : [{ snapshot, level: wanted }]
  })
  if (asked.length === 0) return []
  return await verifyIn(context, configured, name, (snapshots) => {
    const proofs = proofsOf(snapshots)
    return asked.map(({ snapshot, level }) => {
      const parent = snapshots.find(({ id }) => id === snapshot.parent)
      const isProved = parent?.tree !== undefined && proofs.get(parent.tree)?.level !== undefined
      return { ...verifyItem(configured, snapshot, level), alreadyChecked: isProved ? parent : undefined }
    })
  })
}
