import { HoldfastError } from '../../../lib/errors.ts'
import { formatSize } from '../../../lib/sizes.ts'
import type { SourceProblem } from '../../source.ts'
import { BsonType, field, textOf } from '../bson/raw.ts'
import { type Namespace, namespaceText } from '../names.ts'
import { indexesToCreate } from './definitions.ts'
import type { FinalCollection, FinalState } from './final-state.ts'
import type { RestoreSelection } from './renaming.ts'
import { isAuthorization } from './users.ts'

/** A collection and where it goes. */
export interface PlannedCollection extends FinalCollection {
  readonly target: Namespace
  /** What a view is of, in its new place; undefined for what is none. */
  readonly viewOn: string | undefined
}

/** What of a snapshot is restored, and where to. */
export interface RestoreScope {
  readonly collections: readonly PlannedCollection[]
  /** Users and roles, when they are restored. */
  readonly accounts: readonly FinalCollection[]
  readonly documents: number
  readonly bytes: number
  readonly indexes: number
}

/** @throws HoldfastError HF_PATTERN_INVALID when two collections would become one */
export function scopeOf({ collections }: FinalState, selection: RestoreSelection): RestoreScope {
  const planned: PlannedCollection[] = []
  const accounts: FinalCollection[] = []
  const taken = new Map<string, string>()
  for (const collection of collections) {
    const { entry } = collection
    const target = selection.targetOf(entry)
    if (target === undefined) continue
    const name = namespaceText(entry)
    if (isAuthorization(name)) {
      // What version they are of is the server's own.
      if (name !== 'admin.system.version') accounts.push(collection)
      continue
    }
    const twin = taken.get(namespaceText(target))
    if (twin !== undefined)
      throw new HoldfastError('HF_PATTERN_INVALID', `${twin} and ${name} would both become ${namespaceText(target)}`, {
        hint: 'rename one of them otherwise, or leave it out',
      })
    taken.set(namespaceText(target), name)
    planned.push({ ...collection, target, viewOn: viewOn(collection, target, selection) })
  }
  const stored = planned.flatMap(({ data }) => (data === undefined ? [] : [data]))
  return {
    collections: planned,
    accounts,
    documents: stored.reduce((sum, { documents }) => sum + documents, 0),
    bytes: stored.reduce((sum, { bytes }) => sum + bytes, 0),
    indexes: planned.reduce((sum, { entry }) => sum + indexesToCreate(entry).length, 0),
  }
}

function viewOn({ entry }: FinalCollection, target: Namespace, selection: RestoreSelection): string | undefined {
  if (entry.type !== 'view') return undefined
  const on = field(entry.options, 'viewOn')
  const name = on?.type === BsonType.string ? textOf(on)! : ''
  const moved = selection.targetOf({ database: entry.database, collection: name })
  return moved?.database === target.database ? moved.collection : name
}

const numbers = new Intl.NumberFormat('en')
export const counted = (count: number, one: string): string =>
  `${numbers.format(count)} ${one}${count === 1 ? '' : 's'}`

/** Steps of a restore into a server, as a person would say them. */
export function stepsOf(
  { collections, accounts, documents, bytes, indexes }: RestoreScope,
  where: string,
): readonly string[] {
  const views = collections.filter(({ entry }) => entry.type === 'view').length
  return [
    `make ${counted(collections.length - views, 'collection')} in ${where} and insert ${counted(documents, 'document')}, ${formatSize(bytes)}`,
    ...(accounts.length > 0 ? ['add users and roles that are not there'] : []),
    ...(indexes > 0 ? [`build ${counted(indexes, 'index').replace('indexs', 'indexes')}`] : []),
    ...(views > 0 ? [`make ${counted(views, 'view')}`] : []),
    'compare collections, options and indexes with what was asked for',
  ]
}

/** What of a selection is worth knowing, wherever it goes. */
export function* scopeProblems(scope: RestoreScope, { manifest, entries }: FinalState): Generator<SourceProblem> {
  if (scope.collections.length === 0 && scope.accounts.length === 0)
    yield {
      severity: manifest.collections.length === 0 ? 'warning' : 'error',
      what:
        manifest.collections.length === 0
          ? 'the snapshot has no collection'
          : 'no collection of the snapshot is selected',
      remedy: 'write them as database or database.collection, with `*` for any text; holdfast ls shows what is in it',
    }
  if (manifest.consistency === 'none')
    yield {
      severity: 'note',
      what: `all was read between ${manifest.started} and ${manifest.ended}: ${manifest.consistencyReason}`,
      remedy: undefined,
    }
  if (entries > 0)
    yield {
      severity: 'note',
      what: `${counted(entries, 'entry').replace('entrys', 'entries')} of the oplog are worked in: all is of ${manifest.end?.time}`,
      remedy: undefined,
    }
  for (const { folded, entry } of scope.collections)
    if (entry.options.includes('encryptedFields'))
      yield {
        severity: 'warning',
        what: `${namespaceText(entry)} has encrypted fields: its state collections must be restored with it`,
        remedy: undefined,
      }
    else if (folded !== undefined && entry.type === 'timeseries')
      yield { severity: 'note', what: `${namespaceText(entry)} was written to while it was read`, remedy: undefined }
  for (const { entry, target } of scope.collections)
    if (entry.type === 'view' && entry.options.includes('$lookup') && namespaceText(entry) !== namespaceText(target))
      yield {
        severity: 'warning',
        what: `the view ${namespaceText(target)} names other collections within its pipeline, which stay as they were written`,
        remedy: 'collMod with the pipeline as it should be',
      }
}
