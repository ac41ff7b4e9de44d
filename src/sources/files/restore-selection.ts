import { isWithin } from '../../engine/archive/filter/clean-path.ts'
import {
  absolutePath,
  createRestoreSelector,
  patternSources,
  type RestoreSelection,
  type RestoreSelector,
} from '../../engine/archive/filter/index.ts'
import { type ByteString, textToByteString } from '../../engine/repository/tree/node.ts'
import { MANIFEST_FOLDER } from './manifest.ts'

/** What of a snapshot is restored, as paths or patterns in restic's language. */
export interface FileSelection {
  readonly include: readonly string[]
  readonly exclude: readonly string[]
}

const NOTHING: RestoreSelection = { selected: false, descend: false }
const BELOW: RestoreSelection = { selected: false, descend: true }

/**
 * Picks files of a snapshot: of what lies at or below `paths`, what an include fits, less what an exclude fits. The manifest is none of the
 * files.
 * @throws HoldfastError HF_PATTERN_INVALID
 */
export function fileSelector(paths: readonly string[], { include, exclude }: FileSelection): RestoreSelector {
  const included = createRestoreSelector({ include: patternSources(include) })
  const excluded = createRestoreSelector({ exclude: patternSources(exclude) })
  const roots: readonly ByteString[] = paths.map((path) => absolutePath(textToByteString(path)))
  return (path, isDirectory) => {
    if (isWithin(`/${MANIFEST_FOLDER}`, path)) return NOTHING
    if (!roots.some((root) => isWithin(root, path)))
      return isDirectory && roots.some((root) => isWithin(path, root)) ? BELOW : NOTHING
    const left = excluded(path, isDirectory)
    return left.selected ? included(path, isDirectory) : NOTHING
  }
}
