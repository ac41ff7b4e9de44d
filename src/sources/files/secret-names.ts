import type { BackupObserver } from '../../engine/archive/backup-observer.ts'
import { createPatternList, patternSources } from '../../engine/archive/filter/index.ts'
import { createNode, textToByteString } from '../../engine/repository/tree/node.ts'
import { HoldfastError, isHoldfastError, systemErrorCode } from '../../lib/errors.ts'

const HIDDEN = '(secret)'

/**
 * Files whose names are nobody's business but the owner's. Their content is stored as any other, since everything in a repository is
 * encrypted; what is printed, sent as events or written into errors does not name them.
 */
export interface SecretNames {
  readonly patterns: readonly string[]
  /** Whether the path, as text, is that of a secret file or lies in a secret folder. */
  isSecret(path: string): boolean
  /** The path for people: the nearest folder that may be named, and `(secret)` in it. */
  show(path: string): string
  /** What went wrong with the item at `path`, without its name. */
  conceal(path: string, error: Error): Error
}

/** @param patterns in restic's language @throws HoldfastError HF_PATTERN_INVALID */
export function secretNames(patterns: readonly string[]): SecretNames {
  const list = createPatternList(patternSources(patterns))
  const isSecret = (path: string): boolean => list.size > 0 && list.matches(textToByteString(withoutSlash(path)))
  return {
    patterns,
    isSecret,
    show(path) {
      if (!isSecret(path)) return path
      let folder = withoutSlash(path)
      while (folder !== '' && isSecret(folder)) folder = folder.slice(0, Math.max(folder.lastIndexOf('/'), 0))
      return `${folder}/${HIDDEN}`
    },
    conceal(path, error) {
      if (!isSecret(path)) return error
      // Messages of the system hold the path.
      const code = systemErrorCode(error)
      if (code !== undefined) return Object.assign(new Error(`it cannot be read or written: ${code}`), { code })
      return isHoldfastError(error) ? new HoldfastError(error.code, `it failed: ${error.code}`) : new Error('it failed')
    },
  }
}

/** For sources where everything may be named. */
export const noSecrets: SecretNames = secretNames([])

const withoutSlash = (path: string): string => (path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path)

/** The same observer, which does not learn what secret files are called. */
export function discreetObserver(observer: BackupObserver, secrets: SecretNames): BackupObserver {
  if (secrets.patterns.length === 0) return observer
  const { show, conceal, isSecret } = secrets
  const onPath = (tell: ((path: string) => void) | undefined) =>
    tell && ((path: string) => tell.call(observer, show(path)))
  const { onCounted, onBytes, onItem } = observer
  const discreet: { -readonly [K in keyof BackupObserver]: BackupObserver[K] } = {
    onError: (item, error) => observer.onError(show(item), conceal(item, error)),
  }
  const paths = { onUnstable: 0, onExcluded: 0, onFileStarted: 0, onFileFinished: 0, onDirectoryStarted: 0 }
  for (const name of Object.keys(paths) as (keyof typeof paths)[]) {
    const tell = onPath(observer[name])
    if (tell) discreet[name] = tell
  }
  if (onCounted) discreet.onCounted = (type) => onCounted.call(observer, type)
  if (onBytes) discreet.onBytes = (bytes) => onBytes.call(observer, bytes)
  if (onItem)
    discreet.onItem = (event) => {
      if (!isSecret(event.path)) return onItem.call(observer, event)
      const node = createNode({ ...event.node, name: HIDDEN, linkTarget: '', extendedAttributes: [] })
      return onItem.call(observer, { ...event, path: show(event.path), node })
    }
  return discreet
}
