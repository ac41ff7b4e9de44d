import { parseFindTime } from '../../engine/restore/find-time.ts'
import type { RestorePoint } from '../../recovery/restore-point.ts'
import type { Renaming, RestoreTarget } from '../../sources/restore.ts'
import type { ValueKind } from './option.ts'

/** `latest`, the beginning of an id, or a time. */
export const restorePointKind: ValueKind<RestorePoint> = {
  placeholder: 'point',
  expects: '"latest", the id of a snapshot, or a time like "2026-11-20 03:00"',
  parse(text) {
    if (text === 'latest') return { kind: 'latest' }
    if (/^[0-9a-f]{4,64}$/.test(text)) return { kind: 'id', prefix: text }
    return { kind: 'time', time: parseFindTime(text) }
  },
}

/** `sandbox`, a folder, or the URL of a server. */
export const restoreTargetKind: ValueKind<RestoreTarget | 'sandbox'> = {
  placeholder: 'target',
  expects: '"sandbox", a folder, or the URL of a server',
  completes: 'directory',
  parse(text) {
    if (text === 'sandbox') return text
    if (text === '') throw new Error('is empty')
    return /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? { kind: 'server', url: text } : { kind: 'directory', path: text }
  },
}

/** `FROM=TO`. */
export const renamingKind: ValueKind<Renaming> = {
  placeholder: 'from=to',
  expects: 'the old name, "=", and the new one',
  parse(text) {
    const cut = text.indexOf('=')
    if (cut <= 0 || cut === text.length - 1) throw new Error('is not of the form FROM=TO')
    return { from: text.slice(0, cut), to: text.slice(cut + 1) }
  },
}
