import type { ByteString } from '../../repository/tree/node.ts'
import { toByteString } from './byte-string.ts'
import { absolutePath, cleanComponents, isWithin } from './clean-path.ts'
import { createDeviceFilter, type Device } from './device-filter.ts'
import type { PatternSource } from './pattern.ts'
import { createPatternList } from './pattern-list.ts'
import { cacheDirectoryTag, createTagFileFilter, parseTagFile } from './tag-file.ts'

/** What is left out of a backup. */
export interface SelectorOptions {
  /** The paths to back up, as given: absolute, or relative to the working directory. */
  readonly targets: readonly Uint8Array[]
  /** Patterns of what to leave out (`--exclude`, `--exclude-file`). */
  readonly exclude?: readonly PatternSource[]
  /** The same, whatever the letter case (`--iexclude`, `--iexclude-file`). */
  readonly iexclude?: readonly PatternSource[]
  /** `name[:header]` of files whose presence excludes what is beside them. */
  readonly excludeIfPresent?: readonly string[]
  readonly excludeCaches?: boolean
  /** Files above this size are left out. */
  readonly excludeLargerThanBytes?: number | undefined
  readonly oneFileSystem?: boolean
  /** Holdfast's own cache, never part of a backup. */
  readonly cacheDirectory?: Uint8Array | undefined
  /** Told of tag files that cannot be read. */
  warn(message: string): void
}

/** The attributes a selection may depend on. */
export interface SelectedAttributes {
  readonly type: string
  /** Bytes; for directories it is not looked at. */
  readonly size: number
  /** st_dev. */
  readonly device: Device
}

/**
 * Decides what is part of a backup. Paths are clean and absolute. A path is in when both functions say so;
 * below a directory that is out nothing is asked. What a target names is in, whatever the options say; they do apply below it.
 */
export interface Selector {
  /** Everything that needs the path alone: run it before looking at the file. */
  selectByName(path: ByteString): boolean
  /** Everything else. May look at the directory of the path, once for each directory. */
  select(path: ByteString, attributes: SelectedAttributes): boolean
  /** True when both would say so of everything directly in the directory, which then need not be asked for each. */
  selectsAll?(directory: ByteString): boolean
}

/**
 * Makes the selector of one backup, with the rules of restic 0.19.
 *
 * @throws HF_PATTERN_INVALID for a pattern or `name[:header]`; HF_PATH_NOT_FOUND when `oneFileSystem` meets a target that is not there.
 */
export function createSelector(options: SelectorOptions): Selector {
  const targets = options.targets.map(toByteString)
  const explicit = new Set(targets.filter(isNamed).map((target) => absolutePath(target)))
  const patterns = [
    createPatternList(options.iexclude ?? [], { ignoreCase: true }),
    createPatternList(options.exclude ?? []),
  ].filter((list) => list.size > 0)
  const cache = options.cacheDirectory === undefined ? undefined : absolutePath(toByteString(options.cacheDirectory))

  const largest = options.excludeLargerThanBytes ?? Number.POSITIVE_INFINITY
  const devices = options.oneFileSystem ? createDeviceFilter(targets.map((target) => absolutePath(target))) : undefined
  const tags = (options.excludeIfPresent ?? []).map(parseTagFile)
  if (options.excludeCaches) tags.push(cacheDirectoryTag)
  const tagFilters = tags.map((tag) => createTagFileFilter(tag, options.warn))

  const isExcludedByName = (path: string): boolean =>
    patterns.some((list) => list.matches(path)) || (cache !== undefined && isWithin(cache, path))

  const isExcluded = (path: string, { type, size, device }: SelectedAttributes): boolean =>
    (type !== 'dir' && size > largest) ||
    (devices !== undefined && !devices.accepts(path, type === 'dir', device)) ||
    tagFilters.some((isTagged) => isTagged(path))

  const isUnlimited =
    patterns.length === 0 && largest === Number.POSITIVE_INFINITY && devices === undefined && tagFilters.length === 0

  return {
    selectByName: (path) => !isExcludedByName(path) || explicit.has(path),
    select: (path, attributes) => !isExcluded(path, attributes) || explicit.has(path),
    selectsAll: (directory) =>
      isUnlimited && (cache === undefined || (!isWithin(directory, cache) && !isWithin(cache, directory))),
  }
}

/**
 * Whether a target names something of its own. `.`, `/` and `../..` stand for what is in the directory, which is selected like anything else.
 */
const isNamed = (target: string): boolean => cleanComponents(target).some(({ text }) => text !== '.' && text !== '..')
