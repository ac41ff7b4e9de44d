import { type Clock, systemClock } from '../../../lib/clock.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import { sleepUnlessInterrupted, throwIfInterrupted } from '../interruption.ts'
import { type CallOptions, describeFile, type FileKind, type FileRef, type Storage } from '../storage.ts'
import { withoutDirectory } from './without-directory.ts'

export type Operation = 'create' | 'put' | 'get' | 'stat' | 'list' | 'delete'

/**
 * What happens to a call:
 * - `fail`: it does nothing and throws.
 * - `fail-after`: it does its work, then throws, as when the answer is lost. A listing throws after its first file.
 * - `cut`: `get` returns, or `put` stores, only so many bytes.
 * - `flip`: one bit of what `get` returns or `put` stores is wrong; counted from the start and, past the end, from the start again.
 * - `delay`: it starts later.
 * - `full`: `put` throws HF_STORAGE_FULL once the calls this fault has met would have stored more than so many bytes.
 */
export type Effect =
  | { readonly type: 'fail' | 'fail-after'; readonly error: HoldfastError }
  | { readonly type: 'cut'; readonly bytes: number }
  | { readonly type: 'flip'; readonly bit: number }
  | { readonly type: 'delay'; readonly milliseconds: number }
  | { readonly type: 'full'; readonly capacityBytes: number }

export interface Fault {
  readonly operation: Operation
  /** Only calls about files of this kind. */
  readonly kind?: FileKind
  /** The first call it hits, counted from 1 among those that match; 1 by default. */
  readonly call?: number
  /** How many calls it hits from there on; all by default. */
  readonly times?: number
  readonly effect: Effect
}

export interface FaultyStorage extends Storage {
  /** Every call so far, in order: `put data/ab12cd34`, `list data`, `create`. */
  readonly calls: readonly string[]
}

/** Does to calls what the script says, for tests of whoever has to cope with it. Several faults may hit one call, in the order of the script. */
export function withFaults(storage: Storage, faults: readonly Fault[], clock: Clock = systemClock): FaultyStorage {
  const calls: string[] = []
  const rules = faults.map((fault) => ({ fault, matched: 0, storedBytes: 0 }))
  type Rule = (typeof rules)[number]

  /** Notes a call and gives the rules that hit it, after their pauses; throws when one of them fails the call. */
  async function begin(
    operation: Operation,
    kind: FileKind | undefined,
    object: string,
    options: CallOptions | undefined,
  ): Promise<Rule[]> {
    throwIfInterrupted(options?.signal)
    calls.push(`${operation} ${object}`.trimEnd())
    const hits = rules.filter((rule) => isHit(rule, operation, kind))
    for (const { fault } of hits) {
      if (fault.effect.type === 'delay') await sleepUnlessInterrupted(clock, fault.effect.milliseconds, options?.signal)
      if (fault.effect.type === 'fail') throw fault.effect.error
    }
    return hits
  }

  const beginOn = (operation: Operation, file: FileRef, options: CallOptions | undefined): Promise<Rule[]> =>
    begin(operation, file.kind, describeFile(file), options)

  async function around<T>(hits: Promise<Rule[]>, call: (hits: readonly Rule[]) => Promise<T>): Promise<T> {
    const rules = await hits
    const result = await call(rules)
    end(rules)
    return result
  }

  return {
    location: storage.location,
    properties: withoutDirectory(storage.properties),
    features: storage.features,
    calls,
    create: (options) => around(begin('create', undefined, '', options), () => storage.create(options)),
    put: (file, content, options) =>
      around(beginOn('put', file, options), (hits) => {
        for (const rule of hits) fill(rule, content.length, file)
        return storage.put(file, spoil(content, hits), options)
      }),
    get: (file, range, options) =>
      around(beginOn('get', file, options), async (hits) => spoil(await storage.get(file, range, options), hits)),
    stat: (file, options) => around(beginOn('stat', file, options), () => storage.stat(file, options)),
    delete: (file, options) => around(beginOn('delete', file, options), () => storage.delete(file, options)),
    list: async function* (kind, options) {
      const hits = await begin('list', kind, kind, options)
      for await (const file of storage.list(kind, options)) {
        yield file
        end(hits)
      }
      end(hits)
    },
    close: () => storage.close(),
  }

  function fill(rule: Rule, bytes: number, file: FileRef): void {
    if (rule.fault.effect.type !== 'full') return
    if (rule.storedBytes + bytes > rule.fault.effect.capacityBytes) {
      throw new HoldfastError(
        'HF_STORAGE_FULL',
        `cannot write ${describeFile(file)} in ${storage.location}: no space is left`,
      )
    }
    rule.storedBytes += bytes
  }
}

function isHit(rule: { readonly fault: Fault; matched: number }, operation: Operation, kind?: FileKind): boolean {
  const { fault } = rule
  if (fault.operation !== operation || (fault.kind !== undefined && fault.kind !== kind)) return false
  rule.matched += 1
  const first = fault.call ?? 1
  return rule.matched >= first && rule.matched < first + (fault.times ?? Number.POSITIVE_INFINITY)
}

function end(hits: readonly { readonly fault: Fault }[]): void {
  for (const { fault } of hits) if (fault.effect.type === 'fail-after') throw fault.effect.error
}

function spoil(content: Uint8Array, hits: readonly { readonly fault: Fault }[]): Uint8Array {
  let bytes = content
  for (const { effect } of hits.map(({ fault }) => fault)) {
    if (effect.type === 'cut') bytes = bytes.slice(0, effect.bytes)
    if (effect.type === 'flip' && bytes.length > 0) {
      const bit = effect.bit % (bytes.length * 8)
      bytes = new Uint8Array(bytes)
      bytes[bit >> 3]! ^= 1 << (bit & 7)
    }
  }
  return bytes
}
