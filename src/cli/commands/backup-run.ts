import type { ConfiguredSource } from '../../config/configuration.ts'
import { failureOf, runBackups, type SourceResult } from '../../control/backup-run.ts'
import { toHex } from '../../lib/bytes.ts'
import { isHoldfastError } from '../../lib/errors.ts'
import { randomBytes } from '../../lib/random.ts'
import type { Command } from '../command.ts'
import { type Configured, chooseSources, loadConfigured } from '../configured/load.ts'
import { byRepository, inEachRepository } from '../configured/repositories.ts'
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
    const groups = byRepository(sources)
    const unopened = await inEachRepository(context, [...groups.keys()], async (repository) => {
      results.push(...(await backUpInto(context, configured, repository, groups.get(repository)!, { ...options, run })))
    })
    const failure = unopened ?? failureOf(results)
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
