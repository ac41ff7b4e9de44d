import { advance, checksumText, INITIAL_REGISTER } from '../../../engine/kernels/crc32c.ts'
import type { Repository } from '../../../engine/repository/repository.ts'
import { rootOf } from '../../../engine/repository/snapshot.ts'
import { type ByteString, byteStringToText, type Node } from '../../../engine/repository/tree/node.ts'
import { fileContent } from '../../../engine/restore/dump/dump-snapshot.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import type { Id } from '../../../lib/id.ts'
import { formatSize } from '../../../lib/sizes.ts'
import type { ProofJob } from '../../proof.ts'
import { CONTROL_FILE, readControlFile } from '../control-file.ts'
import { ALLOW_FOLDERS, AUTO_CONF, isWal, signals, tablespaceFolder } from '../data-layout.ts'
import { loadManifest, type PostgresManifest } from '../manifest.ts'
import { parseServerManifest, SERVER_MANIFEST, type ServerManifest } from '../server-manifest.ts'
import { beginningOf, type DataTree, dataTreeOf, listDataTree, sourceNameOf } from '../snapshot-content.ts'
import { parseBackupLabel } from './backup-label.ts'
import { CheckList, type Fault } from './check-list.ts'
import { positionOf, segmentName } from './log-position.ts'
import { checkWal } from './wal-reader.ts'

const MAX_SERVER_MANIFEST_BYTES = 1024 * 1024 * 1024
/** Longest addition to `postgresql.auto.conf`: our line, and the end of one that had none. */
const MAX_ADDED_BYTES = ALLOW_FOLDERS.length + 2

const names = {
  manifest: 'manifest of the snapshot',
  serverManifest: 'backup manifest of the server',
  files: 'files and their sizes',
  tablespaces: 'tablespaces',
  control: 'control file and version',
  label: 'backup_label',
  wal: 'WAL from the start to the end of the backup',
} as const

/**
 * Reads what makes a physical snapshot a whole one: both manifests, the list of files, the control file, the label and the log, record by
 * record. Reads the repository only, and of data files nothing but their names and sizes.
 */
export async function checkClusterStructure(configured: string, job: ProofJob): Promise<void> {
  const checks = new CheckList(job, 'structure')
  const { repository, snapshot, signal } = job
  const source = sourceNameOf(snapshot, configured)
  let manifest: PostgresManifest | undefined
  await checks.check(names.manifest, async () => {
    manifest = await loadManifest(repository, rootOf(snapshot), source, signal)
    if (manifest === undefined) throw damaged('there is none')
    checkOwnManifest(manifest, source, snapshot.tags)
    return `PostgreSQL ${manifest.server.version}, system id ${manifest.server.systemId}, consistent at ${manifest.end.lsn}`
  })
  let data: Id | undefined
  let tree: DataTree | undefined
  let listed: ServerManifest | undefined
  await checks.check(names.serverManifest, async () => {
    data = await dataTreeOf(repository, snapshot, source, signal)
    tree = await listDataTree(repository, data, signal)
    const bytes = await whole(repository, tree, SERVER_MANIFEST, signal)
    listed = parseServerManifest(bytes)
    if (manifest !== undefined) checkSameBackup(listed, manifest)
    return `${listed.files.size} files`
  })
  if (tree === undefined || listed === undefined) {
    for (const name of [names.files, names.tablespaces, names.control, names.label, names.wal])
      checks.skipped(name, 'the backup manifest of the server could not be read')
    return
  }
  const content: SnapshotContent = { repository, tree, listed, signal }
  checks.faults(names.files, [...fileFaults(content)], `${tree.files.size} files, as the server listed them`)
  if (manifest === undefined) {
    for (const name of [names.tablespaces, names.control, names.label, names.wal])
      checks.skipped(name, 'the manifest of the snapshot could not be read')
    return
  }
  checkTablespaces(checks, manifest, tree)
  const about = manifest
  await checks.check(names.control, () => checkControl(content, about))
  await checks.check(names.label, () => checkLabel(content, about))
  await checks.check(names.wal, () => checkLog(content, about))
}

interface SnapshotContent {
  readonly repository: Repository
  readonly tree: DataTree
  readonly listed: ServerManifest
  readonly signal: AbortSignal | undefined
}

function checkOwnManifest(manifest: PostgresManifest, source: string, tags: readonly string[]): void {
  const { start, end } = manifest
  if (manifest.source !== source) throw damaged(`it is of the source ${manifest.source}`)
  const point = tags.find((tag) => tag.startsWith('point='))
  if (point !== undefined && point !== `point=${end.lsn}`)
    throw damaged(
      `it ends at ${end.lsn}, and the snapshot says ${point.slice('point='.length)}: it is of another snapshot`,
    )
  if (positionOf(start.lsn) >= positionOf(end.lsn)) throw damaged(`it begins at ${start.lsn} and ends at ${end.lsn}`)
}

function checkSameBackup({ systemId, walRanges }: ServerManifest, { server, start, end }: PostgresManifest): void {
  if (systemId !== undefined && systemId !== server.systemId)
    throw damaged(`it is of the cluster with system id ${systemId}, the snapshot's manifest of ${server.systemId}`)
  // The newest timeline comes first.
  const [first, last] = [walRanges.at(-1), walRanges[0]]
  const says = `${first?.start} to ${last?.end} on timeline ${last?.timeline}`
  if (first?.start !== start.lsn || last?.end !== end.lsn || last?.timeline !== end.timeline)
    throw damaged(
      `it needs the log from ${says}, the snapshot's manifest from ${start.lsn} to ${end.lsn} on timeline ${end.timeline}`,
    )
}

function* fileFaults({ tree, listed }: SnapshotContent): Generator<Fault> {
  for (const [path, { sizeBytes }] of listed.files) {
    const found = tree.files.get(path)
    const item = byteStringToText(path)
    if (found === undefined) {
      if (!signals.has(path)) yield { item, what: 'it is missing' }
    } else if (!isExpectedSize(path, found, sizeBytes))
      yield { item, what: `it has ${found} bytes, and the server sent ${sizeBytes}` }
  }
  for (const path of tree.files.keys())
    if (!listed.files.has(path) && !isWal(path) && path !== SERVER_MANIFEST)
      yield { item: byteStringToText(path), what: 'the server did not send it' }
  for (const path of tree.others)
    yield { item: byteStringToText(path), what: 'it is neither a file nor a folder, and servers send nothing else' }
}

/** Our line may have been added to one file. */
const isExpectedSize = (path: ByteString, found: number, listed: number): boolean =>
  found === listed || (path === AUTO_CONF && found > listed && found <= listed + MAX_ADDED_BYTES)

function checkTablespaces(checks: CheckList, { tablespaces, server }: PostgresManifest, { folders }: DataTree): void {
  if (tablespaces.length === 0) {
    checks.notApplicable(names.tablespaces, 'the cluster has none')
    return
  }
  const faults: Fault[] = []
  for (const { oid, name } of tablespaces) {
    const prefix = `${tablespaceFolder(oid)}/PG_${server.majorVersion}_`
    if (![...folders].some((folder) => folder.startsWith(prefix)))
      faults.push({ item: name ?? String(oid), what: `there is no folder ${prefix}…` })
  }
  checks.faults(names.tablespaces, faults, `${tablespaces.length}, with their content`)
}

async function checkControl(content: SnapshotContent, { server }: PostgresManifest): Promise<string> {
  const version = (await sealed(content, 'PG_VERSION')).toString('utf8').trim()
  if (version !== String(server.majorVersion)) throw damaged(`PG_VERSION says ${version}, not ${server.majorVersion}`)
  const control = readControlFile(await sealed(content, CONTROL_FILE))
  if (control?.systemId !== server.systemId)
    throw damaged(`${CONTROL_FILE} is of the cluster with system id ${control?.systemId}, not ${server.systemId}`)
  return `system id ${server.systemId}`
}

async function checkLabel(content: SnapshotContent, { start, server }: PostgresManifest): Promise<string> {
  const label = parseBackupLabel((await sealed(content, 'backup_label')).toString('utf8'))
  const segment = segmentName(start.timeline, positionOf(start.lsn), server.walSegmentBytes)
  if (label.start !== start.lsn || label.segment !== segment)
    throw damaged(`it begins at ${label.start} in ${label.segment}, the snapshot at ${start.lsn} in ${segment}`)
  if (label.timeline !== start.timeline) throw damaged(`it is of timeline ${label.timeline}, not ${start.timeline}`)
  if (label.isIncrement) throw damaged('it is one of an increment, on which no server starts')
  return `from ${label.start} on timeline ${label.timeline}`
}

async function checkLog({ repository, tree, signal }: SnapshotContent, manifest: PostgresManifest): Promise<string> {
  const { start, end, server } = manifest
  if (start.timeline !== end.timeline)
    throw damaged(`it goes from timeline ${start.timeline} to ${end.timeline}, which no base backup does`)
  const open = (name: string): AsyncIterable<Uint8Array> | undefined => {
    const node = tree.readable.get(`pg_wal/${name}`)
    return node && fileContent(repository, node, signal)
  }
  const [from, to] = [positionOf(start.lsn), positionOf(end.lsn)]
  const range = { ...server, segmentBytes: server.walSegmentBytes, timeline: end.timeline, start: from, end: to, open }
  const records = await checkWal(range, signal)
  return `${records} records, ${formatSize(to - from)}`
}

/** A file whose checksum is in the server's manifest, and right. */
async function sealed({ repository, tree, listed, signal }: SnapshotContent, path: ByteString): Promise<Buffer> {
  const bytes = await whole(repository, tree, path, signal)
  const expected = listed.files.get(path)?.crc32c
  const found = checksumText(~advance(INITIAL_REGISTER, bytes) >>> 0)
  if (expected !== undefined && expected !== found)
    throw damaged(`${path} has the checksum ${found}, and the server sent it with ${expected}`)
  return bytes
}

async function whole(
  repository: Repository,
  { readable }: DataTree,
  path: ByteString,
  signal: AbortSignal | undefined,
): Promise<Buffer> {
  const node: Node | undefined = readable.get(path)
  if (node === undefined) throw damaged(`${path} is missing`)
  if (Number(node.size) > MAX_SERVER_MANIFEST_BYTES) throw damaged(`${path} has the impossible size ${node.size}`)
  return await beginningOf(repository, node, MAX_SERVER_MANIFEST_BYTES, signal)
}

const damaged = (what: string): HoldfastError => new HoldfastError('HF_DATA_DAMAGED', what)
