import { fchmodSync, fchownSync } from 'node:fs'
import { equalBytes } from '../../../lib/bytes.ts'
import { systemErrorCode } from '../../../lib/errors.ts'
import type { PatternSource } from '../../archive/filter/pattern.ts'
import { createPatternList } from '../../archive/filter/pattern-list.ts'
import type { FileAttributes } from '../../posix/attributes.ts'
import type { DirectoryAt } from '../../posix/directory-at.ts'
import {
  type AttributeTarget,
  type ExtendedAttribute,
  readAttributes,
  removeAttribute,
  writeAttribute,
} from '../../posix/extended-attributes.ts'
import { libc } from '../../posix/libc.ts'
import { setTimes } from '../../posix/times.ts'
import type { EntryTable } from '../entry-table.ts'

/** Who restores, and what; plain data for all threads. */
export interface AttributeRules {
  /** Only the superuser may give files away; for others a refusal is no error, as with restic. */
  readonly isSuperuser: boolean
  /** Extended attributes to leave alone, or the only ones to touch; at most one of the two. */
  readonly excludeXattrs: readonly PatternSource[]
  readonly includeXattrs: readonly PatternSource[]
}

/** What a file is known to have already. */
export type KnownAttributes = Pick<FileAttributes, 'uid' | 'gid' | 'mode'> &
  Partial<Pick<FileAttributes, 'mtime' | 'atime'>> & {
    /** Whether it has no extended attributes, so that there is nothing to be removed. */
    readonly hasNoXattrs: boolean
  }

const PERMISSION_BITS = 0o7777

/** Bits that a change of owner takes away. */
const SET_ID_BITS = 0o6000

/**
 * Gives restored files the attributes of their entries: owner, extended attributes (with access control lists), times, permissions, in
 * this order: a change of owner takes set-id bits and capabilities away, and a file that is read-only in the end would refuse the others.
 * What is right already is not touched.
 */
export class AttributeSetter {
  readonly #table: EntryTable
  readonly #isSuperuser: boolean
  readonly #selectsXattr: (name: string) => boolean
  /** Without the native library there are none, which the caller warns about once. */
  readonly #withXattrs = libc() !== undefined

  constructor(table: EntryTable, rules: AttributeRules) {
    this.#table = table
    this.#isSuperuser = rules.isSuperuser
    this.#selectsXattr = xattrSelector(rules)
  }

  /** Owner, extended attributes and times of what is open at `fd`, then its permissions. Does all it can; throws the first failure. */
  setByDescriptor(fd: number, entry: number, known: KnownAttributes): void {
    const m = this.#table.memory
    const failures: unknown[] = []
    const uid = m.uid[entry]!
    const gid = m.gid[entry]!
    const mode = m.mode[entry]!
    let currentMode = known.mode & PERMISSION_BITS
    if (uid !== known.uid || gid !== known.gid) {
      this.#attempt(failures, () => fchownSync(fd, uid, gid))
      currentMode &= ~SET_ID_BITS
    }
    const mayHaveXattrs = this.#withXattrs && (!known.hasNoXattrs || m.extra[entry] !== 0)
    const hasNewXattrs = mayHaveXattrs && this.#setXattrs(failures, fd, entry)
    if (!this.#hasTimes(entry, known))
      this.#attempt(failures, () => setTimes(fd, this.#accessed(entry), this.#modified(entry)))
    // An access control list among the attributes may have changed the permissions.
    if (hasNewXattrs || mode !== currentMode) this.#attempt(failures, () => fchmodSync(fd, mode))
    if (failures.length > 0) throw failures[0]
  }

  /** The same for what cannot be opened: links, devices and fifos. */
  setByName(directory: DirectoryAt, name: Uint8Array, entry: number): void {
    const m = this.#table.memory
    const failures: unknown[] = []
    const known = directory.lstat(name)
    if (m.uid[entry] !== known.uid || m.gid[entry] !== known.gid)
      this.#attempt(failures, () => directory.chown(name, m.uid[entry]!, m.gid[entry]!))
    if (this.#withXattrs) this.#setXattrs(failures, directory.pathTo(name), entry)
    this.#attempt(failures, () => directory.setTimes(name, this.#accessed(entry), this.#modified(entry)))
    if (known.type !== 'symlink') this.#attempt(failures, () => directory.chmod(name, m.mode[entry]!))
    if (failures.length > 0) throw failures[0]
  }

  #accessed(entry: number): { readonly seconds: number; readonly nanoseconds: number } {
    const { accessedSeconds, accessedNanoseconds } = this.#table.memory
    return { seconds: accessedSeconds[entry]!, nanoseconds: accessedNanoseconds[entry]! }
  }

  #modified(entry: number): { readonly seconds: number; readonly nanoseconds: number } {
    const { modifiedSeconds, modifiedNanoseconds } = this.#table.memory
    return { seconds: modifiedSeconds[entry]!, nanoseconds: modifiedNanoseconds[entry]! }
  }

  #hasTimes(entry: number, { mtime, atime }: KnownAttributes): boolean {
    const m = this.#table.memory
    return (
      mtime !== undefined &&
      atime !== undefined &&
      mtime.seconds === m.modifiedSeconds[entry] &&
      mtime.nanoseconds === m.modifiedNanoseconds[entry] &&
      atime.seconds === m.accessedSeconds[entry] &&
      atime.nanoseconds === m.accessedNanoseconds[entry]
    )
  }

  /** Sets the listed attributes and removes all others, as far as they are selected. Returns whether there was anything to do. */
  #setXattrs(failures: unknown[], target: AttributeTarget, entry: number): boolean {
    let isChanged = false
    const wanted = this.#table.extra(entry).extendedAttributes.filter(({ name }) => this.#selectsXattr(name))
    let present: readonly ExtendedAttribute[] = []
    const unreadable: string[] = []
    this.#attempt(failures, () => {
      present = readAttributes(target, (name) => unreadable.push(name))
    })
    for (const attribute of wanted) {
      const same = present.find(({ name }) => name === attribute.name)
      if (same !== undefined && equalBytes(same.value, attribute.value)) continue
      isChanged = true
      this.#attempt(failures, () => ignoreUnsupported(() => writeAttribute(target, attribute)))
    }
    for (const name of [...present.map((attribute) => attribute.name), ...unreadable]) {
      if (wanted.some((attribute) => attribute.name === name) || !this.#selectsXattr(name)) continue
      // The label of SELinux: where there are labels, no file is without one.
      if (name === 'security.selinux') continue
      isChanged = true
      this.#attempt(failures, () => ignoreUnsupported(() => removeAttribute(target, name)))
    }
    return isChanged
  }

  #attempt(failures: unknown[], work: () => void): void {
    try {
      work()
    } catch (error) {
      const code = systemErrorCode(error)
      if (!this.#isSuperuser && (code === 'EPERM' || code === 'EACCES')) return
      failures.push(error)
    }
  }
}

function xattrSelector({ excludeXattrs, includeXattrs }: AttributeRules): (name: string) => boolean {
  if (excludeXattrs.length > 0) {
    const list = createPatternList(excludeXattrs)
    return (name) => !list.matches(name)
  }
  if (includeXattrs.length > 0) {
    const list = createPatternList(includeXattrs)
    return (name) => list.matches(name)
  }
  return () => true
}

/** A file system that has no such attributes, or not any more the one to be removed, is no failure. */
function ignoreUnsupported(work: () => void): void {
  try {
    work()
  } catch (error) {
    const code = systemErrorCode(error)
    if (code !== 'ENOTSUP' && code !== 'EOPNOTSUPP' && code !== 'ENODATA') throw error
  }
}
