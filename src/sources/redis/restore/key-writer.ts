import { throwIfInterrupted } from '../../../engine/storage/interruption.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import type { SourceRestoreObserver } from '../../restore.ts'
import { keyText } from '../key-text.ts'
import type { RdbKey } from '../rdb/entry.ts'
import { RdbSplitter } from '../rdb/splitter.ts'
import { type Reply, ReplyError } from '../resp.ts'
import type { Selection } from '../selection.ts'
import type { Survey } from '../survey.ts'
import type { Asked, KeyTarget } from './key-target.ts'

/** Keys that are written one by one. */
export interface KeyWriting {
  readonly targets: readonly KeyTarget[]
  /** Which of the targets a key goes to; undefined for none. */
  readonly targetOf: (key: RdbKey) => KeyTarget | undefined
  /** Takes what a node of a cluster replies that has not, or not yet, the slot of a key: `MOVED 7 127.0.0.1:7000`. */
  readonly onRedirect?: (key: RdbKey, reply: ReplyError, from: KeyTarget) => void
  readonly rdb: AsyncIterable<Uint8Array>
  readonly selection: Selection
  readonly survey: Pick<Survey, 'bytes' | 'longValues'>
  /** Milliseconds since 1970: what has expired by then is left out. */
  readonly now: bigint
  readonly observer: Pick<SourceRestoreObserver, 'onError' | 'onProgress'>
  readonly signal?: AbortSignal | undefined
}

export interface WrittenKeys {
  readonly keys: number
  readonly bytes: number
  /** Left out because their time had passed. */
  readonly expired: number
  readonly errors: number
}

/** Replies that are waited for at a time, at least. */
const MAX_OPEN = 1000
/** Errors after which no further key can be written. */
const FATAL = /^(?:NOPERM|NOAUTH|READONLY|OOM|MISCONF|MASTERDOWN|LOADING|CLUSTERDOWN|NOREPLICAS)/
const REDIRECTION = /^(?:MOVED|ASK) /

/**
 * Writes the selected keys of a file into running servers, all of them at the same time.
 *
 * A key that a server does not take is told to the observer, and the others go on.
 * @throws HoldfastError HF_RESTORE_FAILED when none can be written any more, HF_INTERRUPTED
 */
export async function writeKeys(writing: KeyWriting): Promise<WrittenKeys> {
  const { targets, targetOf, onRedirect, rdb, selection, survey, now, observer, signal } = writing
  let keys = 0
  let bytes = 0
  let expired = 0
  let errors = 0
  let current: KeyTarget | undefined
  const libraries: Uint8Array[] = []
  const refuse = (name: string, error: Error): void => {
    errors++
    observer.onError(name, error)
  }
  const take =
    (target: KeyTarget) =>
    (asked: Asked, reply: Reply): void => {
      if (!(reply instanceof ReplyError)) {
        if (asked.kind !== 'key') return
        keys++
        bytes += asked.bytes + asked.key.key.length
        return
      }
      if (asked.kind === 'key' && onRedirect !== undefined && REDIRECTION.test(reply.message)) {
        onRedirect(asked.key, reply, target)
        return
      }
      const name = nameOf(asked)
      const what = reply.code === 'BUSYKEY' ? 'it is there already' : reply.message
      const message = `${target.client.server} does not take ${name}: ${what}`
      if (asked.kind === 'setting' || FATAL.test(reply.message))
        throw new HoldfastError('HF_RESTORE_FAILED', message, {
          hint: 'nothing more can be written: put that right, and run it again',
        })
      const hint =
        reply.code === 'BUSYKEY' ? 'allow it to be replaced with --overwrite' : 'the other keys are not concerned'
      refuse(name, new HoldfastError('HF_RESTORE_FAILED', message, { hint }))
    }
  const flush = async (limit: number): Promise<void> => {
    await Promise.all(targets.map((target) => target.flush(limit, take(target))))
  }
  const splitter = new RdbSplitter({
    onLibrary: (code) => libraries.push(code),
    onKey: (key) => {
      current = undefined
      if (!selection.wants(key.key)) return false
      if (key.expiresAt !== undefined && key.expiresAt <= now) {
        expired++
        return false
      }
      current = targetOf(key)
      current?.begin(key, selection.databaseOf(key.db), survey.longValues.get(key.start))
      return current !== undefined
    },
    onValue: (piece) => current!.value(piece),
    onEntry: (entry) => {
      try {
        current!.end()
      } catch (error) {
        refuse(nameOf({ kind: 'key', key: entry, bytes: 0 }), error as Error)
      }
    },
  })
  for await (const chunk of rdb) {
    throwIfInterrupted(signal)
    splitter.push(chunk)
    await flush(MAX_OPEN)
    observer.onProgress({ bytes, totalBytes: survey.bytes })
  }
  splitter.end()
  if (libraries.length > 0 && selection.hasFunctions) for (const target of targets) target.functions(libraries)
  await flush(0)
  return { keys, bytes, expired, errors }
}

function nameOf(asked: Asked): string {
  if (asked.kind === 'setting') return asked.name
  if (asked.kind === 'functions') return 'functions'
  return `key ${keyText(asked.key.key)} of database ${asked.key.db}`
}
