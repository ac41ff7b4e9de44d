import { rootOf } from '../../../engine/repository/snapshot.ts'
import { type Node, textToByteString } from '../../../engine/repository/tree/node.ts'
import { TreeLoader } from '../../../engine/repository/tree-loader.ts'
import { type Owner, planRestore, type RestorePlan, RestoreThreads } from '../../../engine/restore/index.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import { type Id, shortId } from '../../../lib/id.ts'
import type { RestoreJob } from '../../restore.ts'
import { CONTROL_FILE, type ControlFile, readControlFile } from '../control-file.ts'
import { tablespaceFolder } from '../data-layout.ts'
import { loadManifest, type PostgresManifest } from '../manifest.ts'
import { findInstalledPrograms, type ServerPrograms } from '../server-programs.ts'
import { readDataFile, sourceNameOf } from '../snapshot-content.ts'
import { type DataDirectory, inspectDataDirectory } from './data-directory.ts'
import { MARKER_NAME } from './restore-marker.ts'
import { type MappedTablespace, mapTablespaces, type TablespaceMap } from './tablespace-map.ts'

/** What is known of a physical snapshot before anything is written. */
export interface ClusterSnapshot {
  readonly source: string
  readonly manifest: PostgresManifest
  /** The data directory's tree and attributes. */
  readonly data: Id
  readonly dataNode: Node
  readonly hasLabel: boolean
  /** What its control file says; undefined when it has none, or one of no known form. */
  readonly control: ControlFile | undefined
  /** Text of configuration files that lie in the data directory, by name. */
  readonly configuration: ReadonlyMap<string, string>
}

/** A tablespace's content on its way to a folder of its own. */
export interface TablespacePlan {
  readonly place: MappedTablespace
  readonly plan: RestorePlan
}

/** Everything a restore of a cluster will do. */
export interface ClusterPlan {
  readonly job: RestoreJob
  readonly snapshot: ClusterSnapshot
  readonly target: DataDirectory
  readonly spaces: TablespaceMap
  /** Installed on this machine, for the version of the cluster. */
  readonly programs: ServerPrograms | undefined
  /** Whom everything will belong to; undefined when systems know no owners. */
  readonly owner: Owner | undefined
  /** The data directory but for its control file and what is mapped. */
  readonly main: RestorePlan
  readonly mapped: readonly TablespacePlan[]
}

/** Files of the data directory that are read for the plan. */
const configurationFiles = ['postgresql.conf', 'postgresql.auto.conf', 'pg_hba.conf'] as const

/**
 * Finds out what a restore of a whole cluster has to do. Changes nothing.
 *
 * @param fixedOwner whom everything is given to, whatever is found
 * @throws HoldfastError HF_TARGET_INVALID, HF_USAGE, HF_DATA_DAMAGED; whatever reading the repository throws
 */
export async function planCluster(source: string, job: RestoreJob, fixedOwner?: Owner): Promise<ClusterPlan> {
  const { repository, target: to, include, exclude, rename, signal } = job
  if (to.kind !== 'directory') throw notIntoServer(to.url)
  if (include.length > 0 || exclude.length > 0)
    throw new HoldfastError('HF_USAGE', 'a physical snapshot is a whole cluster: no part of it can be restored alone', {
      hint: 'parts of it are restored to a server: --to postgres://user@host:5432/database',
    })
  const given = job.threads?.()
  const snapshot = await readClusterSnapshot(source, job)
  const programs = findInstalledPrograms(snapshot.manifest.server.majorVersion)
  const target = inspectDataDirectory(to.path)
  const spaces = mapTablespaces(snapshot.manifest.tablespaces, rename, target)
  const owner = fixedOwner ?? ownerFor(target, snapshot)
  // They compare what is there.
  const threads = given ?? (target.kind === 'empty' ? undefined : new RestoreThreads())
  try {
    const heldBack = new Set([
      `/${CONTROL_FILE}`,
      `/${MARKER_NAME}`,
      ...spaces.mapped.map(({ tablespace: { oid } }) => `/${tablespaceFolder(oid)}`),
    ])
    const main = await planRestore(
      repository,
      snapshot.data,
      {
        target: target.path,
        deleteOthers: target.kind === 'cluster' || target.kind === 'interrupted',
        owner,
        selector: (path, isDirectory) => {
          const selected = !heldBack.has(path)
          return { selected, descend: selected && isDirectory }
        },
        signal,
      },
      threads,
    )
    const mapped: TablespacePlan[] = []
    for (const place of spaces.mapped)
      mapped.push({ place, plan: await planTablespace(job, snapshot, place, owner, threads) })
    return { job, snapshot, target, spaces, programs: await programs, owner, main, mapped }
  } finally {
    if (threads !== given) await threads?.close()
  }
}

/** Plans the control file alone: what is written last. */
export const planControlFile = ({ job, snapshot, target, owner }: ClusterPlan): Promise<RestorePlan> =>
  planRestore(job.repository, snapshot.data, {
    target: target.path,
    owner,
    selector: (path, isDirectory) => ({
      selected: path === `/${CONTROL_FILE}`,
      descend: isDirectory && path === '/global',
    }),
    signal: job.signal,
  })

/** A folder may hold tablespaces of several versions: of what is there only what has the name of ours is looked at. */
async function planTablespace(
  { repository, signal }: RestoreJob,
  { data }: ClusterSnapshot,
  place: MappedTablespace,
  owner: Owner | undefined,
  threads: RestoreThreads | undefined,
): Promise<RestorePlan> {
  const loader = new TreeLoader(repository)
  try {
    const node = await nodeAt(loader, data, tablespaceFolder(place.tablespace.oid), signal)
    const names = new Set((await loader.load(node.subtree!, signal)).nodes.map(({ name }) => name))
    return await planRestore(
      repository,
      node.subtree!,
      {
        target: place.path,
        deleteOthers: true,
        owner,
        selector: (path, isDirectory) => {
          const selected = names.has(path.split('/', 2)[1]!)
          return { selected, descend: selected && isDirectory }
        },
        signal,
      },
      threads,
    )
  } finally {
    loader.close()
  }
}

async function readClusterSnapshot(configured: string, job: RestoreJob): Promise<ClusterSnapshot> {
  const { repository, snapshot, signal } = job
  const source = sourceNameOf(snapshot, configured)
  const root = rootOf(snapshot)
  const manifest = await loadManifest(repository, root, source, signal)
  if (manifest === undefined)
    throw new HoldfastError('HF_DATA_DAMAGED', `snapshot ${shortId(snapshot.id)} has no manifest of a cluster`, {
      hint: 'nothing says that it is whole; `restore` brings back the files that are in it, for a rescue by hand',
    })
  const loader = new TreeLoader(repository)
  try {
    const dataNode = await nodeAt(loader, root, textToByteString(`${source}/data`), signal)
    const data = dataNode.subtree!
    const { nodes } = await loader.load(data, signal)
    const configuration = new Map<string, string>()
    for (const name of configurationFiles) {
      const bytes = await readDataFile(repository, data, name, { signal })
      if (bytes !== undefined) configuration.set(name, bytes.toString('utf8'))
    }
    const hasLabel = nodes.some(({ name, type }) => name === 'backup_label' && type === 'file')
    const control = await readDataFile(repository, data, CONTROL_FILE, { signal })
    return {
      source,
      manifest,
      data,
      dataNode,
      hasLabel,
      control: control && readControlFile(control),
      configuration,
    }
  } finally {
    loader.close()
  }
}

/** The folder at `path`. @throws HoldfastError HF_DATA_DAMAGED when it is not there */
async function nodeAt(loader: TreeLoader, root: Id, path: string, signal: AbortSignal | undefined): Promise<Node> {
  let tree = root
  let found: Node | undefined
  for (const name of path.split('/')) {
    found = (await loader.load(tree, signal)).nodes.find((node) => node.name === name)
    if (found?.type !== 'dir' || found.subtree === undefined)
      throw new HoldfastError('HF_DATA_DAMAGED', `the snapshot lacks the folder ${JSON.stringify(path)}`, {
        hint: 'choose another snapshot; "verify" says which are whole',
      })
    tree = found.subtree
  }
  return found!
}

/** Root gives files to whoever the target belongs to, or else to whom the server's files belonged; others can only keep them. */
function ownerFor({ owner }: DataDirectory, { dataNode: { uid, gid } }: ClusterSnapshot): Owner | undefined {
  const ours = process.getuid?.()
  if (ours === undefined) return undefined
  if (ours !== 0) return { uid: ours, gid: process.getgid!() }
  return owner !== undefined && owner.uid !== 0 ? owner : { uid, gid }
}

const notIntoServer = (url: string): HoldfastError =>
  new HoldfastError(
    'HF_TARGET_INVALID',
    `a physical snapshot cannot be restored into the running server ${hostOf(url)}`,
    {
      hint: 'name what is to be taken over from it: --include DATABASE, DATABASE.SCHEMA or DATABASE.SCHEMA.TABLE; or restore it to a directory and start a server there',
    },
  )

/** Never more: a URL may hold a password. */
function hostOf(url: string): string {
  try {
    return new URL(url).host
  } catch {
    return 'that was named'
  }
}
