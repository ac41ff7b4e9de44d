import { createSelector, patternSources, type SelectedAttributes } from '../../engine/archive/filter/index.ts'
import type { FileTime, FileType } from '../../engine/posix/attributes.ts'
import type { ByteString } from '../../engine/repository/tree/node.ts'
import type { LogsSettings } from './settings.ts'
import { isInWindow } from './window.ts'

/** What the choice depends on. */
export interface LogAttributes extends SelectedAttributes {
  readonly type: FileType
  readonly mtime: FileTime
}

/** Whether the file, folder or link at a path belongs to the logs of a source. */
export type LogFilter = (path: ByteString, attributes: LogAttributes) => boolean

/** @param since seconds since the epoch; undefined for everything @param warn told of what keeps the filter from looking */
export function logFilter(
  { paths, exclude, iexclude }: LogsSettings,
  since: number | undefined,
  warn: (message: string) => void,
): LogFilter {
  const selector = createSelector({
    targets: paths.map((path) => Buffer.from(path)),
    exclude: patternSources(exclude),
    iexclude: patternSources(iexclude),
    warn,
  })
  return (path, attributes) => {
    const { type, mtime } = attributes
    if (type !== 'file' && type !== 'dir' && type !== 'symlink') return false
    if (!selector.selectByName(path) || !selector.select(path, attributes)) return false
    return type !== 'file' || isInWindow(path.slice(path.lastIndexOf('/') + 1), mtime, since)
  }
}
