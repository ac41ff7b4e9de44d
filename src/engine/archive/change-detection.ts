import type { FileAttributes, FileTime } from '../posix/attributes.ts'
import { toGoMode } from '../repository/tree/mode.ts'
import type { Node } from '../repository/tree/node.ts'

/** What counts as a sign that a file has changed since the parent snapshot, besides its size and time of modification. */
export interface ChangeRules {
  readonly ignoreCtime: boolean
  readonly ignoreInode: boolean
  /**
   * While the parent snapshot was being made, in seconds since the epoch. A file touched in that time may have been read before it was
   * written once more within the same tick of the file system's clock, with no visible difference: it is read again.
   */
  readonly parentRun: { readonly began: number; readonly ended: number } | undefined
}

/** File times move in ticks of the kernel's timer, up to this many seconds. */
const TICK_SECONDS = 0.02

/** Whether a regular file is as the parent snapshot saw it, so that its content need not be read. */
export function isUnchanged(now: FileAttributes, before: Node, rules: ChangeRules): boolean {
  if (before.type !== 'file' || before.content === null) return false
  if (BigInt(now.size) !== BigInt(before.size)) return false
  if (!sameTime(now.mtime, before.mtime)) return false
  if (!rules.ignoreCtime && !sameTime(now.ctime, before.ctime)) return false
  if (!rules.ignoreInode && now.inode !== before.inode) return false
  return !wasTouchedDuring(rules.parentRun, rules.ignoreCtime ? now.mtime : now.ctime)
}

/**
 * Whether an entry is in every respect what the parent snapshot has, so that its node can be taken over: everything lstat tells is the
 * same, and nothing else (extended attributes, the target of a link) can change without moving the ctime.
 */
export function isSameEntry(now: FileAttributes, before: Node, rules: ChangeRules, withAccessTime: boolean): boolean {
  return (
    !rules.ignoreCtime &&
    sameTime(now.ctime, before.ctime) &&
    now.inode === before.inode &&
    now.type === before.type &&
    sameTime(now.mtime, before.mtime) &&
    sameTime(withAccessTime ? now.atime : now.mtime, before.atime) &&
    now.device === before.deviceId &&
    (now.type !== 'file' || now.size === before.size) &&
    (now.type === 'dir' || now.type === 'fifo' || now.links === before.links) &&
    now.uid === before.uid &&
    now.gid === before.gid &&
    toGoMode(now.mode) === before.mode &&
    before.error === '' &&
    !wasTouchedDuring(rules.parentRun, now.ctime)
  )
}

const sameTime = (a: FileTime, b: FileTime): boolean => a.nanoseconds === b.nanoseconds && a.seconds === b.seconds

/** Whether a file with this time may have been changed once more in that time without a visible difference; see `ChangeRules`. */
export function wasTouchedDuring(run: ChangeRules['parentRun'], { seconds, nanoseconds }: FileTime): boolean {
  if (!run) return false
  const touched = seconds + nanoseconds / 1e9
  return touched >= run.began - TICK_SECONDS && touched <= run.ended + TICK_SECONDS
}
