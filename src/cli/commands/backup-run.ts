import type { ConfiguredSource } from '../../config/configuration.ts'
import type { VerifyLevel } from '../../config/shape.ts'
import { failureOf, runBackups } from '../../control/backup-run.ts'
import { openForRun, type RunRepository } from '../../control/run-repository.ts'
import type { SourceResult } from '../../control/source-run.ts'
import { toHex } from '../../lib/bytes.ts'
import { type HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import { shortId } from '../../lib/id.ts'
import { randomBytes } from '../../lib/random.ts'
import type { VerifyResult } from '../../recovery/verify-run.ts'
import type { Command } from '../command.ts'
import { type Configured, chooseSources, loadConfigured } from '../configured/load.ts'
import { conflictsOf } from '../configured/locations.ts'
import { type OpenedRepositories, withRepositories } from '../configured/open-repositories.ts'
import { byRepository, inEachRepository } from '../configured/repositories.ts'
import { spoolFolder } from '../configured/spool.ts'
import type { CommandContext } from '../context.ts'
import { type BackupRunOptions, backupRunDescription } from '../descriptions/backup-run.ts'
import { RunReport } from '../output/run-report.ts'
import { versionFacts } from '../version.ts'

export const backupRunCommand: Command<BackupRunOptions> = {
  ...backupRunDescription,
  async run(context, options, names) {
    const { output } = context
    const configured = await loadConfigured(context)
    const sources = chooseSources(configured.configuration, names)
    const run = toHex(randomBytes(8))
    const groups = byRepository(sources)
    const results = await withRepositories(
      context,
      configured,
      [...groups.keys()],
      // Nothing is stored before the lock is certain.
      { lock: 'append', early: true },
      async (name, { repository, signal, settled }) => {
        // Hooks may stop a service, which must not happen for a run that another one then keeps from going on.
        if (sources.some(({ hooks }) => hooks.pre.length > 0)) await settled
        return await openForRun({ name, repository, signal }, ({ id, error }) =>
          output.warn(`Warning: snapshot ${shortId(id)} in ${name} is damaged and was passed over: ${error.message}`),
        )
      },
      (repositories) => backUpInto(context, configured, repositories, sources, { ...options, run }),
    )
    const verified: VerifyResult[] = []
    const written = [...groups.keys()].filter((name) => results.some((result) => snapshotIn(result, name)))
    const passedOver = await inEachRepository(context, written, async (name) => {
      verified.push(...(await verifyNew(context, configured, name, results, options.verify)))
    })
    const failed = failureOf(results)
    const unverified = (await failureIn(verified)) ?? passedOver
    // Items that could not be read weigh less than a snapshot that is not as it should be.
    const failure = isHoldfastError(failed, 'HF_INCOMPLETE') ? (unverified ?? failed) : (failed ?? unverified)
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

const snapshotIn = ({ copies }: SourceResult, name: string) =>
  copies.find(({ repository }) => repository === name)?.snapshot

async function backUpInto(
  context: CommandContext,
  { configuration, openSource }: Configured,
  { opened, unopened }: OpenedRepositories<RunRepository>,
  sources: readonly ConfiguredSource[],
  { type, parallel, run, spoolBytes }: BackupRunOptions & { readonly run: string },
): Promise<readonly SourceResult[]> {
  const { clock, environment, signal } = context
  const report = new RunReport(context)
  try {
    return await runBackups(
      sources.map((source) => {
        const closed = new Map<string, unknown>([...unopened, ...conflictsOf(configuration, source)])
        const isClosed = (name: string): boolean => closed.has(name)
        return {
          source: openSource(source),
          hooks: source.hooks,
          require: source.require,
          repositories: source.repositories.flatMap((name) => (isClosed(name) ? [] : (opened.get(name) ?? []))),
          unopened: new Map(source.repositories.filter(isClosed).map((name) => [name, closed.get(name)])),
        }
      }),
      {
        run,
        type,
        parallel,
        programVersion: `holdfast ${versionFacts().version}`,
        clock,
        environment,
        spool: { root: spoolFolder(environment), capacityBytes: spoolBytes },
        observer: report,
        signal,
      },
    )
  } finally {
    report.stop()
  }
}

/** Proves what was just made, as far as is configured. */
async function verifyNew(
  context: CommandContext,
  configured: Configured,
  name: string,
  results: readonly SourceResult[],
  level: VerifyLevel | undefined,
): Promise<readonly VerifyResult[]> {
  const asked = results.flatMap((result) => {
    const snapshot = snapshotIn(result, name)
    const wanted = level ?? configured.configuration.sources.get(result.source.name)!.verify
    return snapshot === undefined || wanted === 'none' ? [] : [{ snapshot, level: wanted }]
  })
  if (asked.length === 0) return []
  // Loaded only where something is proved.
  const [{ verifyIn, verifyItem }, { proofsOf }] = await Promise.all([
    import('../configured/verify.ts'),
    import('../../recovery/verification.ts'),
  ])
  return await verifyIn(context, configured, name, (snapshots) => {
    const proofs = proofsOf(snapshots)
    return asked.map(({ snapshot, level }) => {
      const parent = snapshots.find(({ id }) => id === snapshot.parent)
      const isProved = parent?.tree !== undefined && proofs.get(parent.tree)?.level !== undefined
      return { ...verifyItem(configured, snapshot, level), alreadyChecked: isProved ? parent : undefined }
    })
  })
}

async function failureIn(verified: readonly VerifyResult[]): Promise<HoldfastError | undefined> {
  if (verified.length === 0) return undefined
  const { failureOfVerification } = await import('../../recovery/verify-run.ts')
  return failureOfVerification(verified)
}
