import { scanTargets } from '../../engine/archive/scan.ts'
import { type FileAttributes, lstat } from '../../engine/posix/attributes.ts'
import { type ByteString, textToByteString } from '../../engine/repository/tree/node.ts'
import { formatCalendarDuration } from '../../lib/durations.ts'
import { isReadable, shellWord } from '../files/paths.ts'
import type { SourceProblem } from '../source.ts'
import { logFilter } from './log-filter.ts'
import type { LogsSettings } from './settings.ts'

/** What keeps logs out of backups: nothing in the window, or not to be read. `since` is the beginning of the window in seconds. */
export async function examineLogs(
  settings: LogsSettings,
  present: readonly string[],
  since: number | undefined,
  signal?: AbortSignal,
): Promise<SourceProblem[]> {
  const { window } = settings
  const problems: SourceProblem[] = []
  const filter = logFilter(settings, since, () => undefined)
  for (const path of present) {
    let recent = 0
    let unreadable = 0
    await scanTargets([textToByteString(path)], {
      signal: signal ?? new AbortController().signal,
      onError: () => unreadable++,
      selector: {
        selectByName: () => true,
        select(name, { type }) {
          const found = lookAt(name)
          if (found === undefined || !filter(name, found)) return false
          if (type === 'file') {
            recent++
            if (!isReadable(name)) unreadable++
          }
          return true
        },
      },
    })
    signal?.throwIfAborted()
    if (unreadable > 0)
      problems.push({
        severity: 'error',
        what: `${unreadable} logs or folders below ${path} cannot be read by this user`,
        remedy: `setfacl -R -m u:${process.getuid?.() ?? 'USER'}:rX ${shellWord(path)}`,
      })
    if (recent === 0)
      problems.push({
        severity: 'warning',
        what: `no log below ${path} ${window === undefined ? 'is there' : `was written in the last ${formatCalendarDuration(window)}`}: snapshots would hold none`,
        remedy: undefined,
      })
  }
  return problems
}

/** Undefined when it was rotated away meanwhile. */
function lookAt(path: ByteString): FileAttributes | undefined {
  try {
    return lstat(Buffer.from(path, 'latin1'))
  } catch {
    return undefined
  }
}
