import type { ChangeRules } from '../../engine/archive/change-detection.ts'
import { backupEntries } from '../../engine/archive/entries-backup.ts'
import { absolutePath } from '../../engine/archive/filter/index.ts'
import type { Repository } from '../../engine/repository/repository.ts'
import { rootOf, type StoredSnapshot } from '../../engine/repository/snapshot.ts'
import { type ByteString, type Node, textToByteString } from '../../engine/repository/tree/node.ts'
import { TreeLoader } from '../../engine/repository/tree-loader.ts'
import { timeBefore } from '../../lib/durations.ts'
import { formatTime, type Timestamp, toEpochNanoseconds } from '../../lib/go-time.ts'
import { NOTHING_EARLIER } from '../files/backup.ts'
import { type FilesManifest, manifestPath } from '../files/manifest.ts'
import { requirePaths } from '../files/paths.ts'
import { noSecrets } from '../files/secret-names.ts'
import { storeJson } from '../json-file.ts'
import type { BackupJob, SourceBackup } from '../source.ts'
import { LogCollector } from './log-collector.ts'
import { logFilter } from './log-filter.ts'
import type { LogsSettings } from './settings.ts'

/** Backs up logs that are being written and rotated meanwhile. */
export async function backupLogs(job: BackupJob, name: string, settings: LogsSettings): Promise<SourceBackup> {
  const { paths, exclude, iexclude, window } = settings
  const { repository } = job
  const { labels, observer, signal } = job.options
  const { present, absent } = requirePaths(name, paths, job.require, noSecrets)
  for (const { path, error } of absent) observer.onError(path, error)
  const parent = job.type === 'full' ? undefined : job.options.parent
  const type = parent === undefined ? 'full' : job.type
  const since = window && timeBefore(labels.time, window)
  const manifest: FilesManifest = {
    format: 1,
    source: name,
    type: 'logs',
    paths,
    exclude,
    iexclude,
    missing: absent.map(({ path }) => path),
    secrets: [],
    since: since === undefined ? null : formatTime(since),
    started: formatTime(labels.time),
  }
  using before = new PreviousFolders(repository, parent, signal)
  let errors = absent.length
  const result = await backupEntries(repository, {
    ...job.options,
    labels: { ...labels, tags: [...labels.tags, `type=${type}`], excludes: exclude },
    parent,
    paths,
    write: async (entries) => {
      const { time: mtime, uid, gid } = labels
      const collector = new LogCollector({
        repository,
        entries,
        filter: logFilter(settings, since?.seconds, (message) => observer.onError(name, new Error(message))),
        started: toEpochNanoseconds(labels.time),
        previousOf: (folder) => before.nodesOf(folder),
        changeRules: changeRules(parent),
        observer,
        signal,
      })
      await collector.collect(present.map((path) => absolutePath(textToByteString(path))))
      await storeJson(entries, manifestPath(name), manifest, { mtime, uid, gid })
      errors += collector.errors
    },
  })
  return {
    result: { ...result, errors: result.errors + errors },
    type,
    reason: type === job.type ? undefined : NOTHING_EARLIER,
    point: undefined,
  }
}

/** Entries know neither inode nor ctime: size and time of modification decide, and what was written during the last run is read again. */
function changeRules(parent: StoredSnapshot | undefined): ChangeRules {
  const seconds = (time: Timestamp): number => time.seconds + time.nanoseconds / 1e9
  return {
    ignoreCtime: true,
    ignoreInode: true,
    parentRun: parent && {
      began: seconds(parent.summary?.backupStart ?? parent.time),
      ended: seconds(parent.summary?.backupEnd ?? parent.time),
    },
  }
}

/** What the snapshot before has in each folder. Damage there only means that files are read again. */
class PreviousFolders implements Disposable {
  readonly #loader: TreeLoader
  readonly #parent: StoredSnapshot | undefined
  readonly #signal: AbortSignal | undefined

  constructor(repository: Repository, parent: StoredSnapshot | undefined, signal: AbortSignal | undefined) {
    this.#loader = new TreeLoader(repository)
    this.#parent = parent
    this.#signal = signal
  }

  async nodesOf(folder: ByteString): Promise<ReadonlyMap<ByteString, Node>> {
    if (this.#parent === undefined) return nothing
    try {
      let nodes = await this.#load(rootOf(this.#parent))
      for (const name of folder.split('/').filter((part) => part !== '')) {
        const subtree = nodes.get(name)?.subtree
        if (subtree === undefined) return nothing
        nodes = await this.#load(subtree)
      }
      return nodes
    } catch {
      this.#signal?.throwIfAborted()
      return nothing
    }
  }

  async #load(tree: string): Promise<ReadonlyMap<ByteString, Node>> {
    return new Map((await this.#loader.load(tree, this.#signal)).nodes.map((node) => [node.name, node]))
  }

  [Symbol.dispose](): void {
    this.#loader.close()
  }
}

const nothing: ReadonlyMap<ByteString, Node> = new Map()
