import { lstatSync, statfsSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { userName } from '../../../engine/posix/owner-names.ts'
import { byteStringToText } from '../../../engine/repository/tree/node.ts'
import type { Owner, RestorePlan } from '../../../engine/restore/index.ts'
import { formatSize } from '../../../lib/sizes.ts'
import type { SourceProblem } from '../../source.ts'
import { signals } from '../data-layout.ts'
import { hasEmbeddedPrograms, programsRemedy } from '../server-programs.ts'
import { existingAncestor } from './data-directory.ts'
import type { ClusterPlan } from './restore-plan.ts'
import { tablespaceText } from './tablespace-map.ts'

/** A problem a plan collects; those of a kind that can come by thousands are told to this number. */
const MAX_OF_A_KIND = 10

/** Everything that speaks against a restore, or that its owner would want to know before. */
export function problemsOf(plan: ClusterPlan): readonly SourceProblem[] {
  return [
    ...targetProblems(plan),
    ...plan.spaces.problems,
    ...snapshotProblems(plan),
    ...ownerProblems(plan),
    ...spaceProblems(plan),
    ...machineProblems(plan),
  ]
}

const error = (what: string, remedy?: string): SourceProblem => ({ severity: 'error', what, remedy })
const warning = (what: string, remedy?: string): SourceProblem => ({ severity: 'warning', what, remedy })
const note = (what: string, remedy?: string): SourceProblem => ({ severity: 'note', what, remedy })

function* targetProblems({ job, target, snapshot, spaces }: ClusterPlan): Generator<SourceProblem> {
  const { path, kind, running, systemId, version, marker, walLink, tablespaceLinks } = target
  const { server } = snapshot.manifest
  const elsewhere = 'name a folder that is empty or does not exist yet'
  if (running !== undefined)
    yield error(
      `a server runs in ${path}: ${running}`,
      `stop it: pg_ctl -D ${path} stop; when it is none of PostgreSQL, remove ${path}/postmaster.pid`,
    )
  if (kind === 'foreign') yield error(`${path} is neither empty nor a data directory of PostgreSQL`, elsewhere)
  if (kind === 'cluster') {
    if (!job.overwrite)
      yield error(
        `${path} holds a cluster, and overwriting was not asked for`,
        `${elsewhere}; or --overwrite: blocks that differ are written, and what the snapshot does not have is removed`,
      )
    if (version !== String(server.majorVersion))
      yield error(`${path} is of PostgreSQL ${version}, the snapshot of ${server.majorVersion}`, elsewhere)
    if (systemId === undefined)
      yield error(`${path} has no control file that says which cluster it is`, `empty it, or ${elsewhere}`)
  }
  const there = kind === 'interrupted' ? marker?.systemId : systemId
  if (there !== undefined && there !== server.systemId)
    yield error(
      `${path} is of another cluster: system id ${there}, in the snapshot ${server.systemId}`,
      `empty it if it is not needed any more, or ${elsewhere}`,
    )
  if (walLink !== undefined)
    yield warning(
      `pg_wal is a link to ${walLink}: it becomes a folder in ${path}, and ${walLink} stays as it is`,
      'to have it there again, move pg_wal before the server is started, and link to it',
    )
  for (const [name, location] of Object.entries(tablespaceLinks))
    if (!spaces.mapped.some(({ tablespace: { oid } }) => String(oid) === name))
      yield warning(
        `${path}/pg_tblspc/${name} is a link to ${location}, whose content stays as it is: the tablespace will lie in place`,
        `to have it there, say so: ${name}=${location}`,
      )
}

/** What is wrong with the snapshot itself. */
export function* snapshotProblems({
  snapshot,
  main,
  mapped,
}: Pick<ClusterPlan, 'snapshot' | 'main' | 'mapped'>): Generator<SourceProblem> {
  const rescue = 'choose another snapshot; `restore` brings back the files of this one for a rescue by hand'
  if (!snapshot.hasLabel)
    yield error(
      'the snapshot has no backup_label: a server started on it would take a torn cluster for a whole one',
      rescue,
    )
  if (snapshot.control === undefined) yield error('the snapshot has no control file that can be read', rescue)
  else if (snapshot.control.systemId !== snapshot.manifest.server.systemId)
    yield error(
      `the control file in the snapshot is of another cluster than its manifest: system id ${snapshot.control.systemId}, not ${snapshot.manifest.server.systemId}`,
      rescue,
    )
  const plans = [main, ...mapped.map(({ plan }) => plan)]
  const strange: string[] = []
  for (const plan of plans) {
    for (const { path, error: cause } of plan.problems.slice(0, MAX_OF_A_KIND))
      yield error(`${path}: ${cause.message}`, rescue)
    strange.push(...strangeEntries(plan))
  }
  for (const what of strange.slice(0, MAX_OF_A_KIND)) yield error(what, rescue)
}

/** What no base backup sends: links lead out of the target, and signal files make a server a standby of another. */
function* strangeEntries({ entries, target }: RestorePlan): Generator<string> {
  for (let entry = 1; entry < entries.count; entry++) {
    const kind = entries.kind(entry)
    const path = byteStringToText(entries.path(entry))
    if (kind !== 'file' && kind !== 'dir') yield `${path} is a ${kind}, which has no place in ${target}`
    if (signals.has(path.slice(1))) yield `${path} would make the server a standby`
  }
}

function* ownerProblems({ owner, target }: ClusterPlan): Generator<SourceProblem> {
  if (owner === undefined) return
  if (owner.uid === 0)
    yield warning(
      'all files will belong to root, whom PostgreSQL refuses to run as',
      `chown -R postgres: ${target.path}`,
    )
  else if (userName(owner.uid) === '')
    yield warning(
      `all files will belong to user ${owner.uid} as on the server they come from, whom this machine does not know`,
      `chown -R postgres: ${target.path}; or make the folder beforehand and give it to the right user`,
    )
  else if (process.getuid?.() === 0) yield note(`all files will belong to ${userName(owner.uid)}`)
  if (process.getuid?.() === 0 && owner.uid !== 0)
    for (const folder of closedFolders(dirname(target.path), owner))
      yield warning(
        `${userName(owner.uid) || `user ${owner.uid}`} cannot enter ${folder}, and so not start a server below it`,
        `chmod o+x ${folder}`,
      )
}

/** Folders on the way to a place that a user cannot pass; other groups of theirs are not looked at. */
function* closedFolders(path: string, { uid, gid }: Owner): Generator<string> {
  for (let folder = existingAncestor(path); ; folder = dirname(folder)) {
    const found = statSync(folder)
    const bit = found.uid === uid ? 0o100 : found.gid === gid ? 0o010 : 0o001
    if ((found.mode & bit) === 0) yield folder
    if (folder === dirname(folder)) return
  }
}

/** Room for everything that is not there yet, on each file system. */
export function* spaceProblems({ main, mapped }: Pick<ClusterPlan, 'main' | 'mapped'>): Generator<SourceProblem> {
  const byDevice = new Map<number, { readonly folder: string; bytes: number }>()
  for (const plan of [main, ...mapped.map((space) => space.plan)]) {
    const folder = existingAncestor(plan.target)
    const { dev } = statSync(folder)
    const known = byDevice.get(dev) ?? { folder, bytes: 0 }
    known.bytes += bytesNeeded(plan)
    byDevice.set(dev, known)
  }
  for (const { folder, bytes } of byDevice.values()) {
    const { bavail, bsize } = statfsSync(folder)
    if (bavail * bsize < bytes)
      yield error(
        `${formatSize(bytes)} are needed below ${folder}, and ${formatSize(bavail * bsize)} are free`,
        'make room there, or name a folder on another file system',
      )
  }
}

/** What a plan adds to what is there. */
function bytesNeeded({ entries, target }: RestorePlan): number {
  let bytes = 0
  for (let entry = 1; entry < entries.count; entry++) {
    const action = entries.action(entry)
    if (entries.kind(entry) !== 'file' || action === 'skip' || action === 'adjust') continue
    const sizeBytes = entries.memory.number[entry]!
    bytes += action === 'create' ? sizeBytes : Math.max(0, sizeBytes - sizeNow(target, entries.path(entry)))
  }
  return bytes
}

const sizeNow = (target: string, path: string): number =>
  lstatSync(Buffer.from(`${Buffer.from(target).toString('latin1')}${path}`, 'latin1'), { throwIfNoEntry: false })
    ?.size ?? 0

function* machineProblems({ snapshot, spaces, programs }: ClusterPlan): Generator<SourceProblem> {
  const { server } = snapshot.manifest
  if (programs === undefined && !hasEmbeddedPrograms(server.majorVersion))
    yield warning(
      `no PostgreSQL ${server.majorVersion} was found on this machine, and no other major version can start this cluster`,
      programsRemedy(server.majorVersion),
    )
  if (spaces.inPlace.length > 0)
    yield note(
      `the content of ${spaces.inPlace.map((space) => `tablespace ${tablespaceText(space)}`).join(', ')} stays in the data directory`,
      `to put one elsewhere, rename it: ${tablespaceText(spaces.inPlace[0]!)}=/FOLDER`,
    )
  if (snapshot.manifest.warnings.length > 0)
    yield warning(
      `the server warned when the snapshot was made: ${snapshot.manifest.warnings.slice(0, 3).join('; ')}`,
      'expect damaged pages, or choose a snapshot without',
    )
}
