import type { CutRule } from '../../engine/archive/cut-stream.ts'
import type { ByteString } from '../../engine/repository/tree/node.ts'

/** WAL is written once, in order, and hardly ever the same twice; large blobs are cheap to keep. */
const WAL_BLOCK_BYTES = 1024 * 1024

const GIB = 1024 ** 3

/**
 * How data files are cut in a first backup. Small blocks make small increments, and each costs time by itself, in backups and in restores; a
 * directory's tree holds 67 bytes per block and is written anew with each snapshot. So large clusters take larger ones. Measured on pgbench and
 * on rows like those of applications: at 16 and 32 KiB five snapshots take half of what cutting by content takes, above 128 KiB next to nothing
 * is gained. At 16 KiB a full backup takes a sixth more processor time than at 32, and a restore a tenth.
 */
export function blockBytesFor(clusterBytes: number): number {
  if (clusterBytes < GIB) return 16 * 1024
  if (clusterBytes < 50 * GIB) return 32 * 1024
  if (clusterBytes < 300 * GIB) return 64 * 1024
  if (clusterBytes < 1024 * GIB) return 128 * 1024
  return 256 * 1024
}

/** Folders whose files are written in place, page by page: relations and the logs of transaction states. */
const pagedFolders = /^(base|global|pg_tblspc|pg_xact|pg_multixact|pg_commit_ts|pg_subtrans|pg_serial)\//

/** Whether a path lies in a folder of files with pages. */
export const isPaged = (path: ByteString): boolean => pagedFolders.test(path)

/** How the file at `path` of a data directory is cut. */
export function cutRuleFor(path: ByteString, blockBytes: number): CutRule {
  if (isPaged(path)) return { kind: 'blocks', blockBytes }
  if (isWal(path)) return { kind: 'blocks', blockBytes: WAL_BLOCK_BYTES }
  return { kind: 'content' }
}

/** Below `pg_wal`: what the server's manifest does not list file by file. */
export const isWal = (path: ByteString): boolean => path.startsWith('pg_wal/')

/** Where the content of a tablespace lies in a data directory. */
export const tablespaceFolder = (oid: number): ByteString => `pg_tblspc/${oid}`

/**
 * What makes a server a standby or begins a recovery to a target. Not kept: a snapshot of a standby would start as a standby of the live
 * primary. `pg_verifybackup` does not miss them.
 */
export const signals: ReadonlySet<ByteString> = new Set(['standby.signal', 'recovery.signal'])

/** PostgreSQL reads it after `postgresql.conf`, and `pg_verifybackup` does not look at it. */
export const AUTO_CONF = 'postgresql.auto.conf'

/** The line a snapshot with tablespaces has in it: without it the server refuses folders in `pg_tblspc`. */
export const ALLOW_FOLDERS = "allow_in_place_tablespaces = 'on'"
