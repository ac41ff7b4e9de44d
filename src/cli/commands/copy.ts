import { copySnapshots, splitByPresence } from '../../engine/repository/copy/copy-snapshots.ts'
import { copyThreads } from '../../engine/repository/copy/fan-out.ts'
import { type CopyObserver, SnapshotCopier } from '../../engine/repository/copy/snapshot-copier.ts'
import { loadSnapshots } from '../../engine/repository/snapshots.ts'
import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import { shortId } from '../../lib/id.ts'
import { formatSize } from '../../lib/sizes.ts'
import { givenLocation, isLocationGiven, mainAccess, sourceAccess } from '../access.ts'
import type { Command } from '../command.ts'
import type { CatchUpRequest } from '../configured/catch-up.ts'
import type { Configured } from '../configured/load.ts'
import type { CommandContext } from '../context.ts'
import { type CopyOptions, copyDescription } from '../descriptions/copy.ts'
import type { Output } from '../output/output.ts'
import { snapshotLine } from '../output/snapshot-line.ts'
import { progressOf, withRepository } from '../repository-session.ts'
import { loadChosenSnapshots } from '../snapshot-choice.ts'

export const copyCommand: Command<CopyOptions> = {
  ...copyDescription,
  async run(context, options, references) {
    if (!isLocationGiven(sourceAccess(options))) {
      const request = await catchUpRequest(context, options, references)
      if (request !== undefined) {
        const { catchUpConfigured } = await import('../configured/catch-up.ts')
        await catchUpConfigured(context, request.configured, request)
        return 0
      }
    }
    return await copyFrom(context, options, references)
  },
}

/** Copying from one repository into one, as restic does. */
async function copyFrom(context: CommandContext, options: CopyOptions, references: readonly string[]): Promise<number> {
  const { output } = context
  const { dryRun } = options
  if (options.all)
    throw new HoldfastError('HF_USAGE', '--all goes without --from-repo: all snapshots are copied anyway')
  const to = dryRun ? ({ lock: 'read' } as const) : ({ lock: 'append', early: true } as const)
  return await withRepository(context, { lock: 'read', early: true, access: sourceAccess(options) }, (source) =>
    withRepository(context, to, async (destination) => {
      const signal = AbortSignal.any([source.signal, destination.signal])
      const from = source.repository
      const { snapshots, exitCode } = await loadChosenSnapshots(from, references, options, output, signal)
      if (dryRun) {
        const there = await loadSnapshots(destination.repository, { signal })
        const { missing, present } = splitByPresence(snapshots, there)
        await from.loadIndex(signal)
        await destination.repository.loadIndex(signal)
        const copier = new SnapshotCopier(from, destination.repository, { threads: 1, signal })
        const plan = await copier.plan(missing).finally(() => copier.close())
        if (output.json)
          output.message({
            message_type: 'would_copy',
            source_snapshot_ids: missing.map(({ id }) => id),
            skipped_snapshots: present.length,
            ...plan,
          })
        else
          output.print(
            `would copy ${missing.length} snapshots, ${plan.blobs} blobs with disk size ${formatSize(plan.bytes)} in ${plan.packs} packfiles; ${present.length} are there already`,
          )
        return exitCode
      }
      await from.loadIndex(signal)
      await destination.repository.loadIndex(signal)
      const { copied, skipped } = await copySnapshots(from, destination.repository, snapshots, {
        threads: copyThreads(destination.repository),
        progress: progressOf(context),
        observer: output.json ? jsonObserver(output) : textObserver(output),
        signal,
      })
      await Promise.all([source.settled, destination.settled])
      if (output.json)
        output.message({
          message_type: 'summary',
          copied_snapshots: copied.length,
          skipped_snapshots: skipped.length,
        })
      return exitCode
    }),
  )
}

/** What is asked of the repositories of a configuration; undefined when there is none, or a repository is meant that is not in it. */
async function catchUpRequest(
  context: CommandContext,
  options: CopyOptions,
  names: readonly string[],
): Promise<(CatchUpRequest & { readonly configured: Configured }) | undefined> {
  const { loadConfigured } = await import('../configured/load.ts')
  const configured = await loadConfigured(context).catch((error: unknown) => {
    if (isHoldfastError(error, 'HF_CONFIG_NOT_FOUND') && context.global.configurationFile === undefined)
      return undefined
    throw error
  })
  if (configured === undefined) return undefined
  const given = givenLocation(mainAccess(context.global), context.sources)
  // What is set for other commands is not meant; what is typed is.
  const repository = given?.rank === 0 ? given.value : undefined
  if (repository !== undefined && !configured.configuration.repositories.has(repository)) return undefined
  const filter = ['host', 'tag', 'path'].find((name) => context.sources.get(name)?.rank === 0)
  if (filter !== undefined)
    throw new HoldfastError('HF_USAGE', `--${filter} goes with --from-repo`, { hint: 'name sources instead' })
  return { configured, names, repository, all: options.all, dryRun: options.dryRun }
}

const jsonObserver = (output: Output): CopyObserver => ({
  onSaved: ({ source, copy }) =>
    output.message({ message_type: 'copied', source_snapshot_id: source.id, snapshot_id: copy.id }),
})

const textObserver = (output: Output): CopyObserver => ({
  onSkipped({ source, copy }) {
    output.detail(`\n${snapshotLine(source)}`)
    output.detail(`skipping source snapshot ${shortId(source.id)}, was already copied to snapshot ${shortId(copy.id)}`)
  },
  onStart(source) {
    output.print(`\n${snapshotLine(source)}`)
    output.print('  copy started, this may take a while...')
  },
  onPlanned(_, { blobs, bytes, packs }) {
    output.detail(`  copy ${blobs} blobs with disk size ${formatSize(bytes)} in ${packs} packfiles\n\n`)
  },
  onSaved({ source, copy }) {
    output.print(`snapshot ${shortId(copy.id)} saved, copied from source snapshot ${shortId(source.id)}`)
  },
})
