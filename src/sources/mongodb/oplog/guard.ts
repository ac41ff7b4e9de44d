import { HoldfastError } from '../../../lib/errors.ts'
import { field, textOf } from '../bson/raw.ts'
import { timeText } from '../op-time.ts'
import { commandOf, type OplogEntry } from './entry.ts'

/** Commands that change what no replay can bring about. */
const irreproducible: ReadonlySet<string> = new Set([
  'importCollection',
  'convertToCapped',
  'upgradeDowngradeViewlessTimeseries',
  'modifyCollectionShardingIndexCatalog',
  'createDatabaseMetadata',
  'dropDatabaseMetadata',
])

/**
 * Watches the oplog while collections are read for what would make the copy wrong. A collection that is renamed meanwhile may have been read
 * under neither name; one that was made meanwhile is in the oplog from its beginning, under whichever names.
 */
export class DumpGuard {
  readonly #made = new Set<string>()
  readonly #begin: bigint
  readonly #isSelected: (namespace: string) => boolean

  /** `begin`: what happened up to then is in whatever was read. */
  constructor(begin: bigint, isSelected: (namespace: string) => boolean) {
    this.#begin = begin
    this.#isSelected = isSelected
  }

  /** @throws HoldfastError HF_SOURCE_CHANGED */
  check(entry: OplogEntry): void {
    const isBefore = entry.time <= this.#begin
    if (entry.op !== 'c') {
      if (!isBefore && entry.namespace === 'admin.system.version' && entry.op !== 'n')
        throw changed(entry, 'the feature compatibility version, or the version of users, was changed')
      return
    }
    const { name, database, argument } = commandOf(entry)
    const target = `${database}.${textOf(argument) ?? ''}`
    if (name === 'create' || name === 'drop') this.#made.add(target)
    if (name === 'renameCollection') {
      const from = textOf(argument) ?? ''
      const to = textOf(field(entry.o, 'to')) ?? ''
      const isOld = !this.#made.has(from)
      const isTaken = this.#isSelected(to)
      // What was made under a name that is not selected is not in what is taken of the oplog.
      const isLost = isOld ? isTaken || this.#isSelected(from) : isTaken && !this.#isSelected(from)
      if (isLost && !isBefore) throw changed(entry, `${from} was renamed to ${to}`)
      if (!isOld) this.#made.add(to)
    }
    if (!isBefore && irreproducible.has(name) && (this.#isSelected(target) || name !== 'convertToCapped'))
      throw changed(entry, `${name} was run on ${target}`)
  }
}

const changed = ({ time }: OplogEntry, what: string): HoldfastError =>
  new HoldfastError('HF_SOURCE_CHANGED', `while collections were read, ${what} (${timeText(time)})`, {
    hint: 'nothing was kept; run the backup again when that is done',
    retry: 'later',
  })
