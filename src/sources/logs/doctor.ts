import { createSelector, patternSources } from '../../engine/archive/filter/index.ts'
import { scanTargets } from '../../engine/archive/scan.ts'
import { lstat } from '../../engine/posix/attributes.ts'
import { type ByteString, textToByteString } from '../../engine/repository/tree/node.ts'
import type { Clock } from '../../lib/clock.ts'
import { formatCalendarDuration, timeBefore } from '../../lib/durations.ts'
import { localTimestamp } from '../../lib/go-time.ts'
import { isReadable, shellWord } from '../files/paths.ts'
import type { SourceProblem } from '../source.ts'
import type { LogsSettings } from './settings.ts'
import { isInWindow } from './window.ts'

/** What keeps logs out of backups: nothing in the window, or not to be read. */
export async function examineLogs(
  { exclude, iexclude, window }: LogsSettings,
  present: readonly string[],
  clock: Clock,
  signal?: AbortSignal,
): Promise<SourceProblem[]> {
  const problems: SourceProblem[] = []
  const since = window && timeBefore(localTimestamp(clock.now()), window).seconds
  const selector = createSelector({
    targets: present.map((path) => Buffer.from(path)),
    exclude: patternSources(exclude),
    iexclude: patternSources(iexclude),
    warn: () => undefined,
  })
  for (const path of present) {
    let recent = 0
    let unreadable = 0
    await scanTargets([textToByteString(path)], {
      signal: signal ?? new AbortController().signal,
      onError: () => unreadable++,
      selector: {
        selectByName: (name) => selector.selectByName(name),
        select(name, attributes) {
          const isSelected = selector.select(name, attributes)
          if (isSelected && attributes.type === 'file' && isRecent(name, since)) {
            recent++
            if (!isReadable(name)) unreadable++
          }
          return isSelected
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

function isRecent(path: ByteString, since: number | undefined): boolean {
  try {
    const name = path.slice(path.lastIndexOf('/') + 1)
    return isInWindow(name, lstat(Buffer.from(path, 'latin1')).mtime, since)
  } catch {
    // It was rotated away meanwhile.
    return false
  }
}
