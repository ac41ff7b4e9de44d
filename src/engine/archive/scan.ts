import { setImmediate } from 'node:timers/promises'
import { monotonicMilliseconds } from '../../lib/clock.ts'
import { lstat } from '../posix/attributes.ts'
import { readDirectory } from '../posix/directory-reader.ts'
import type { ByteString } from '../repository/tree/node.ts'
import { byteStringToText } from '../repository/tree/node.ts'
import { absolutePath } from './filter/clean-path.ts'
import type { SelectedAttributes, Selector } from './filter/selector.ts'
import { pathBytes } from './node-reader.ts'
import { joinPath } from './target-tree.ts'

/** How long the event loop may be kept busy in one go: the walk of the backup runs on the same thread and is what matters. */
const SLICE_MS = 8

/** What there is to back up. */
export interface ScanTotals {
  readonly files: number
  readonly folders: number
  readonly bytes: number
}

export interface ScanOptions {
  readonly selector: Selector
  /** Ends the scan; what was counted by then is the result. */
  readonly signal: AbortSignal
  /** Called after each slice with the counts so far. */
  onTotals?(totals: ScanTotals): void
  /** A directory or file cannot be looked at. The backup will say so again. */
  onError?(item: string, error: Error): void
}

/** Counts what is to be backed up, beside the backup itself, so that it can tell how much is left. Symbolic links and devices are not counted. */
export async function scanTargets(targets: readonly ByteString[], options: ScanOptions): Promise<ScanTotals> {
  const { selector, signal, onTotals, onError } = options
  const totals = { files: 0, folders: 0, bytes: 0 }
  const paths = [...new Set(targets.map((target) => absolutePath(target)))]
  const named = new Set(paths)
  const waiting = paths.toReversed()

  const fail = (path: ByteString, error: unknown): void =>
    onError?.(byteStringToText(path), error instanceof Error ? error : new Error(String(error)))

  const count = (path: ByteString, attributes: SelectedAttributes & { readonly type: string }): void => {
    if (!selector.select(path, attributes)) return
    if (attributes.type === 'dir') {
      totals.folders++
      waiting.push(path)
    } else if (attributes.type === 'file') {
      totals.files++
      totals.bytes += attributes.size
    }
  }

  const list = (directory: ByteString): void => {
    try {
      for (const { name, attributes, error } of readDirectory(pathBytes(directory))) {
        const path = joinPath(directory, Buffer.from(name).toString('latin1'))
        if (named.has(path) || !selector.selectByName(path)) continue
        if (error !== undefined) fail(path, error)
        else count(path, attributes)
      }
    } catch (error) {
      fail(directory, error)
    }
  }

  const started = new Set<ByteString>()
  let sliceEnd = monotonicMilliseconds() + SLICE_MS
  for (let path = waiting.pop(); path !== undefined && !signal.aborted; path = waiting.pop()) {
    if (named.has(path) && !started.has(path)) {
      started.add(path)
      try {
        if (selector.selectByName(path)) count(path, lstat(pathBytes(path)))
      } catch (error) {
        fail(path, error)
      }
    } else list(path)
    if (monotonicMilliseconds() < sliceEnd) continue
    onTotals?.(totals)
    await setImmediate()
    sliceEnd = monotonicMilliseconds() + SLICE_MS
  }
  onTotals?.(totals)
  return totals
}
