import { createHash } from 'node:crypto'
import { closeSync, constants, openSync, readdirSync, readlinkSync, readSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import type { Owner } from '../../../engine/restore/index.ts'
import { HoldfastError, systemErrorCode } from '../../../lib/errors.ts'
import { CONTROL_FILE, readControlFile } from '../control-file.ts'
import { MARKER_NAME, parseMarker, type RestoreMarker } from './restore-marker.ts'
import { runningServer } from './running-server.ts'

/** What is at a place a cluster is to be restored to. Plain data: two of them tell whether something has changed. */
export interface DataDirectory {
  /** Absolute, without links. */
  readonly path: string
  /**
   * - `empty`: nothing is there, or an empty folder
   * - `cluster`: a data directory
   * - `interrupted`: a restore that has not come to its end
   * - `foreign`: something else
   */
  readonly kind: 'empty' | 'cluster' | 'interrupted' | 'foreign'
  /** Of the folder, when it is there. */
  readonly owner: Owner | undefined
  /** Of a cluster: content of PG_VERSION. */
  readonly version: string | undefined
  /** Of a cluster; undefined when its control file is missing or of no known form. */
  readonly systemId: string | undefined
  /** SHA-256 of its control file, which every start and every checkpoint changes. */
  readonly controlDigest: string | undefined
  readonly marker: RestoreMarker | undefined
  /** Why it is in use. */
  readonly running: string | undefined
  /** Where the links in `pg_tblspc` lead, by name. */
  readonly tablespaceLinks: Readonly<Record<string, string>>
  /** Where `pg_wal` leads when it is a link. */
  readonly walLink: string | undefined
}

/** Larger than any control file and marker. */
const MAX_SMALL_FILE_BYTES = 64 * 1024

/** Looks at a place without changing anything. @throws HoldfastError HF_TARGET_INVALID when it is no folder, or cannot be read */
export function inspectDataDirectory(target: string): DataDirectory {
  const path = realPathOf(target)
  const names = listed(path)
  const nothing: DataDirectory = {
    path,
    kind: 'empty',
    owner: ownerOf(path),
    version: undefined,
    systemId: undefined,
    controlDigest: undefined,
    marker: undefined,
    running: undefined,
    tablespaceLinks: {},
    walLink: undefined,
  }
  if (names.length === 0) return nothing
  const marker = parseMarker(small(join(path, MARKER_NAME))?.toString('utf8') ?? '')
  const version = small(join(path, 'PG_VERSION'))?.toString('utf8').trim()
  const control = small(join(path, CONTROL_FILE))
  const isCluster = version !== undefined && names.includes('base') && names.includes('global')
  return {
    ...nothing,
    kind: marker !== undefined ? 'interrupted' : isCluster ? 'cluster' : 'foreign',
    version,
    systemId: control && readControlFile(control)?.systemId,
    controlDigest: control && createHash('sha256').update(control).digest('hex'),
    marker,
    running: runningServer(path),
    tablespaceLinks: linksIn(join(path, 'pg_tblspc')),
    walLink: linkTarget(join(path, 'pg_wal')),
  }
}

/** The nearest folder on the way to `path` that is there. */
export function existingAncestor(path: string): string {
  for (let folder = resolve(path); ; folder = dirname(folder))
    if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() || folder === dirname(folder)) return folder
}

/** Absolute, with the links in it followed as far as it is there. */
export function realPathOf(path: string): string {
  const absolute = resolve(path)
  try {
    return realpathSync(absolute)
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT' || dirname(absolute) === absolute) throw unusable(path, error)
    return join(realPathOf(dirname(absolute)), basename(absolute))
  }
}

/** Names in a folder; none when it is not there. @throws HoldfastError HF_TARGET_INVALID when it is no folder, or cannot be read */
export function listed(path: string): readonly string[] {
  try {
    return readdirSync(path)
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return []
    throw unusable(path, error)
  }
}

const unusable = (path: string, cause: unknown): HoldfastError =>
  new HoldfastError('HF_TARGET_INVALID', `${path} cannot be restored to: ${(cause as Error).message}`, {
    cause,
    hint: 'name a folder that you may read and write, or one that does not exist yet',
  })

function ownerOf(path: string): Owner | undefined {
  const found = statSync(path, { throwIfNoEntry: false })
  return found && { uid: found.uid, gid: found.gid }
}

/** The beginning of a regular file; undefined when there is none. */
function small(path: string): Buffer | undefined {
  try {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    try {
      const bytes = Buffer.alloc(MAX_SMALL_FILE_BYTES)
      return bytes.subarray(0, readSync(fd, bytes))
    } finally {
      closeSync(fd)
    }
  } catch {
    return undefined
  }
}

function linksIn(folder: string): Readonly<Record<string, string>> {
  const links: Record<string, string> = {}
  try {
    for (const name of readdirSync(folder)) {
      const target = linkTarget(join(folder, name))
      if (target !== undefined) links[name] = target
    }
  } catch {
    // There is no such folder: no links.
  }
  return links
}

function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch {
    return undefined
  }
}
