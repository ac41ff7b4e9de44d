import type { FileAttributes } from '../posix/attributes.ts'
import type { DirectoryEntry } from '../posix/directory-listing.ts'
import type { Node } from '../repository/tree/node.ts'
import type { EntryAction } from './entry-table.ts'
import type { OverwriteMode } from './restore-plan.ts'

/** What decides about files that are there already. */
export interface OverwriteRules {
  readonly overwrite: OverwriteMode
  readonly isSuperuser: boolean
  /** Who restores. */
  readonly uid: number
}

export interface FileDecision {
  /** `adjust` unless the comparison says otherwise, when there is to be one. */
  readonly action: EntryAction
  readonly compare: boolean
}

/** What is to be done about a file of the snapshot, `sizeBytes` long, with `existing` in its place. */
export function decideFile(
  rules: OverwriteRules,
  node: Node,
  existing: DirectoryEntry | undefined,
  sizeBytes: number,
): FileDecision {
  if (existing === undefined) return { action: 'create', compare: false }
  if (!mayOverwrite(rules, node, existing)) return { action: 'skip', compare: false }
  const { attributes } = existing
  if (attributes?.type !== 'file' || !isAccessible(rules, attributes)) return { action: 'replace', compare: false }
  const looksSame =
    rules.overwrite === 'if-changed' &&
    attributes.size === sizeBytes &&
    attributes.mtime.seconds === node.mtime.seconds &&
    attributes.mtime.nanoseconds === node.mtime.nanoseconds
  return { action: 'adjust', compare: !looksSame }
}

/** The same for what has no content of its own: a device, a fifo, a further name of a file. */
export function decideSpecial(rules: OverwriteRules, node: Node, existing: DirectoryEntry | undefined): EntryAction {
  if (existing === undefined) return 'create'
  return mayOverwrite(rules, node, existing) ? 'replace' : 'skip'
}

function mayOverwrite({ overwrite }: OverwriteRules, node: Node, { attributes }: DirectoryEntry): boolean {
  if (overwrite === 'never') return false
  if (overwrite !== 'if-newer') return true
  if (attributes === undefined) return false
  const { seconds, nanoseconds } = attributes.mtime
  return node.mtime.seconds > seconds || (node.mtime.seconds === seconds && node.mtime.nanoseconds > nanoseconds)
}

/** Whether a file can be opened for reading and writing, as far as its own permissions tell. */
const isAccessible = ({ isSuperuser, uid: ours }: OverwriteRules, { uid, mode }: FileAttributes): boolean =>
  isSuperuser || uid !== ours || (mode & 0o600) === 0o600
