import { readSecret, secretReference } from '../../config/secret.ts'
import { type ArchiveItem, archivedCopy, copyToArchive, planArchive } from '../../control/archive.ts'
import { openForRun, type RunRepository } from '../../control/run-repository.ts'
import { executeForget, planForgetOf } from '../../engine/repository/forget.ts'
import type { StoredSnapshot } from '../../engine/repository/snapshot.ts'
import { loadSnapshots } from '../../engine/repository/snapshots.ts'
import { displayLocation } from '../../engine/storage/locations.ts'
import { timeBefore } from '../../lib/durations.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { formatTime, localTimestamp } from '../../lib/go-time.ts'
import { shortId } from '../../lib/id.ts'
import { orphanedVerifications } from '../../recovery/verification.ts'
import type { ConfiguredAccess } from '../access.ts'
import type { Command } from '../command.ts'
import { type Configured, chooseSources, loadConfigured } from '../configured/load.ts'
import { conflictOf } from '../configured/locations.ts'
import { withRepositories } from '../configured/open-repositories.ts'
import { requireRepository } from '../configured/repositories.ts'
import { verifyIn, verifyItem } from '../configured/verify.ts'
import type { CommandContext } from '../context.ts'
import { type BackupArchiveOptions, backupArchiveDescription } from '../descriptions/backup-archive.ts'
import { progressOf, withRepository } from '../repository-session.ts'

/** The archive stands beside the repositories it takes from under a name that no repository can have. */
const ARCHIVE = '--to'

export const backupArchiveCommand: Command<BackupArchiveOptions> = {
  ...backupArchiveDescription,
  async run(context, options, names) {
    const { output } = context
    const configured = withArchive(context, await loadConfigured(context), options)
    const items = await copied(context, configured, options, names)
    if (options.dryRun || items.size === 0) {
      finish(context, items, options)
      return 0
    }
    const verified = await verifiedCopies(context, configured, items)
    const moved = new Map([...items].filter(([, copy]) => copy !== undefined && verified.has(copy.id)))
    for (const [from, its] of Map.groupBy(moved.keys(), (item) => item.from.name))
      await remove(context, configured, from, its)
    finish(context, moved, options)
    const left = items.size - moved.size
    if (left > 0)
      throw new HoldfastError(
        'HF_VERIFICATION_FAILED',
        `${left} snapshots stay where they are: their copies did not pass`,
        {
          hint: 'check the archive: holdfast check --read-data; remove the copies there that are damaged, and run this again',
        },
      )
    if (!output.json) output.print('the room they took is given back by: holdfast prune')
    return 0
  },
}

/** What is configured, and the archive. */
function withArchive(
  context: CommandContext,
  configured: Configured,
  { to, toPassword }: BackupArchiveOptions,
): Configured {
  const { configuration, accessOf } = configured
  const isName = configuration.repositories.has(to!)
  if (isName && toPassword !== undefined)
    throw new HoldfastError('HF_USAGE', `--to-password is for locations, and ${to} is a name of the configuration`)
  const parsed = secretReference.safeParse(toPassword)
  if (!isName && !parsed.success) {
    if (toPassword === undefined && /^[\w-][\w.-]*$/.test(to!)) requireRepository(configuration, to!)
    throw new HoldfastError('HF_USAGE', 'the password of the archive is not named', {
      hint: 'give --to-password env:NAME or file:PATH',
    })
  }
  const readPassword = (): Promise<string> =>
    readSecret(parsed.data!, { environment: context.environment, checkPermissions: true })
  const archive: ConfiguredAccess = { name: displayLocation(to!), url: to!, store: {}, readPassword }
  return { ...configured, accessOf: (name) => (name !== ARCHIVE ? accessOf(name) : isName ? accessOf(to!) : archive) }
}

/** The snapshots that are to be moved, each with its copy in the archive; in a dry run with what is there already. */
async function copied(
  context: CommandContext,
  configured: Configured,
  { olderThan, to, from, dryRun }: BackupArchiveOptions,
  names: readonly string[],
): Promise<ReadonlyMap<ArchiveItem, StoredSnapshot | undefined>> {
  const { output, clock, signal } = context
  const { configuration } = configured
  if (from !== undefined) requireRepository(configuration, from)
  const sources = chooseSources(configuration, names)
  const place = configuration.repositories.has(to!) ? to! : displayLocation(to!)
  for (const source of sources) {
    const conflict = conflictOf(configuration, source, place)
    if (conflict !== undefined) throw conflict
  }
  const givers = new Set(sources.flatMap((source) => source.repositories))
  const needed = [...givers].filter((name) => name !== to && (from === undefined || name === from))
  const before = timeBefore(localTimestamp(clock.now()), olderThan!)
  return await withRepositories(
    context,
    configured,
    [ARCHIVE, ...needed],
    { lock: dryRun ? 'read' : 'append' },
    (name, { repository, signal: lock }) =>
      openForRun({ name, repository, signal: lock }, ({ id, error }) =>
        output.warn(`Warning: snapshot ${shortId(id)} in ${name} is damaged and was passed over: ${error.message}`),
      ),
    async ({ opened, unopened }) => {
      const archive = opened.get(ARCHIVE)
      if (archive === undefined) throw unopened.get(ARCHIVE)!
      const items = sources.flatMap((source) =>
        planArchive(
          source.name,
          source.repositories.flatMap((name) => givingRepository(opened, needed, name)),
          before,
        ),
      )
      requireOther(items, archive)
      for (const {
        source,
        from: { name },
        snapshot,
      } of items)
        output.detail(`${source}: snapshot ${shortId(snapshot.id)} of ${formatTime(snapshot.time)} in ${name}`)
      const there = dryRun
        ? archive.snapshots
        : await copyToArchive(items, archive, { progress: progressOf(context), signal })
      return new Map(items.map((item) => [item, archivedCopy(there, item.snapshot)]))
    },
  )
}

const givingRepository = (
  opened: ReadonlyMap<string, RunRepository>,
  needed: readonly string[],
  name: string,
): readonly RunRepository[] => (needed.includes(name) ? [opened.get(name) ?? []].flat() : [])

/** What is moved to where it is would be removed. */
function requireOther(items: readonly ArchiveItem[], { repository }: RunRepository): void {
  const same = items.find(({ from }) => from.repository.config.id === repository.config.id)
  if (same !== undefined)
    throw new HoldfastError('HF_USAGE', `the archive is the repository ${same.from.name} itself`, {
      hint: 'name another one with --to',
    })
}

/**
 * Reads every byte that the copies need again, each once, and keeps a record of each copy. Ids of those that are whole.
 */
async function verifiedCopies(
  context: CommandContext,
  configured: Configured,
  items: ReadonlyMap<ArchiveItem, StoredSnapshot | undefined>,
): Promise<ReadonlySet<string>> {
  const copies = new Map([...items.values()].flatMap((copy) => (copy === undefined ? [] : [[copy.id, copy]])))
  const whole = new Set<string>()
  await verifyIn(context, configured, ARCHIVE, function* () {
    let alreadyChecked: StoredSnapshot | undefined
    for (const copy of copies.values()) {
      const result = yield { ...verifyItem(configured, copy, 'checksum'), alreadyChecked }
      if (result.verification.proved === undefined) continue
      whole.add(copy.id)
      alreadyChecked = copy
    }
  })
  return whole
}

/** Removes snapshots whose copies are whole, and the records that were about them. */
async function remove(
  context: CommandContext,
  { accessOf }: Configured,
  name: string,
  items: readonly ArchiveItem[],
): Promise<void> {
  const { output } = context
  await withRepository(context, { lock: 'exclusive', access: accessOf(name) }, async ({ repository, signal }) => {
    const moved = new Set(items.map(({ snapshot }) => snapshot.id))
    let isWhole = true
    const all = await loadSnapshots(repository, { onUnreadable: () => (isWhole = false), signal })
    const snapshots = all.filter(({ id }) => moved.has(id))
    // A snapshot that cannot be read may be the one that a record is about.
    const records = isWhole ? orphanedVerifications(all.filter(({ id }) => !moved.has(id))) : []
    const plan = planForgetOf([...snapshots, ...records])
    const { failed } = await executeForget(repository, plan, progressOf(context), signal)
    for (const { id, error } of failed) output.warn(`${name}: snapshot ${shortId(id)} is still there: ${error.message}`)
    if (failed.length > 0)
      throw new HoldfastError('HF_INCOMPLETE', `${failed.length} snapshots are in the archive and still in ${name}`)
  })
}

function finish(
  { output }: CommandContext,
  items: ReadonlyMap<ArchiveItem, StoredSnapshot | undefined>,
  { dryRun, to }: BackupArchiveOptions,
): void {
  if (output.json) {
    output.message({
      message_type: 'summary',
      dry_run: dryRun,
      snapshots: [...items].map(([{ source, from, snapshot }, copy]) => ({
        source,
        repository: from.name,
        snapshot_id: snapshot.id,
        archived_id: copy?.id ?? null,
      })),
    })
    return
  }
  if (items.size === 0) output.print('nothing is older than that')
  const archive = displayLocation(to!)
  for (const [source, its] of Map.groupBy(items.keys(), (item) => item.source))
    for (const [from, { length }] of Map.groupBy(its, (item) => item.from.name))
      output.print(
        `${source}: ${dryRun ? 'would move' : 'moved'} ${length} ${length === 1 ? 'snapshot' : 'snapshots'} from ${from} to ${archive}`,
      )
}
