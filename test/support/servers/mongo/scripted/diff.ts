import { asNumber, doc, type Entry, elements, encode, field, isNested, type RawValue, Type } from './bson.ts'
import { MongoFailure } from './failure.ts'

/**
 * What an update changed, in the form `$v: 2` of oplog entries: `d` fields that are gone, `u` changed, `i` new ones, `sNAME` differences
 * below; of arrays `a: true`, `l` their new length, `uN` and `sN`. Undefined when fields changed places, which that form cannot say.
 */
export function diffDocuments(before: Buffer, after: Buffer): Buffer | undefined {
  const old = new Map(Array.from(elements(before), ({ name, value }) => [name, value]))
  const now = new Map(Array.from(elements(after), ({ name, value }) => [name, value]))
  const kept = [...old.keys()].filter((name) => now.has(name))
  if ([...now.keys()].slice(0, kept.length).join('\0') !== kept.join('\0')) return undefined
  const deleted = [...old.keys()].filter((name) => !now.has(name)).map((name): Entry => [name, false])
  const updated: Entry[] = []
  const below: Entry[] = []
  for (const name of kept) {
    const change = changeOf(old.get(name)!, now.get(name)!)
    if (change === undefined) continue
    if (change.isBelow) below.push([`s${name}`, change.value])
    else updated.push([name, change.value])
  }
  const inserted = [...now].filter(([name]) => !old.has(name))
  return doc([
    ...(deleted.length > 0 ? [['d', doc(deleted)] as const] : []),
    ...(updated.length > 0 ? [['u', doc(updated)] as const] : []),
    ...(inserted.length > 0 ? [['i', doc(inserted)] as const] : []),
    ...below,
  ])
}

interface Change {
  readonly isBelow: boolean
  readonly value: unknown
}

function changeOf(before: RawValue, after: RawValue): Change | undefined {
  if (before.type === after.type && before.bytes.equals(after.bytes)) return undefined
  const below = before.type !== after.type ? undefined : diffBelow(before, after)
  return below === undefined ? { isBelow: false, value: after } : { isBelow: true, value: below }
}

function diffBelow(before: RawValue, after: RawValue): Buffer | undefined {
  if (before.type === Type.document) return diffDocuments(before.bytes, after.bytes)
  if (before.type !== Type.array) return undefined
  const old = Array.from(elements(before.bytes), ({ value }) => value)
  const now = Array.from(elements(after.bytes), ({ value }) => value)
  const parts: Entry[] = [['a', true]]
  if (now.length < old.length) parts.push(['l', now.length])
  for (const [position, value] of now.entries()) {
    const change = old[position] === undefined ? { isBelow: false, value } : changeOf(old[position], value)
    if (change !== undefined) parts.push([`${change.isBelow ? 's' : 'u'}${position}`, change.value])
  }
  return doc(parts)
}

/** The document that `diffDocuments` was told about. @throws MongoFailure when the difference does not fit the document */
export function applyDiff(document: Buffer, diff: Buffer): Buffer {
  const fields = new Map<string, unknown>(Array.from(elements(document), ({ name, value }) => [name, value]))
  for (const { name, value } of elements(diff)) {
    if (name === 'd') for (const gone of elements(value.bytes)) fields.delete(gone.name)
    else if (name === 'u') for (const changed of elements(value.bytes)) fields.set(changed.name, changed.value)
    else if (name === 'i')
      for (const added of elements(value.bytes)) {
        fields.delete(added.name)
        fields.set(added.name, added.value)
      }
    else if (name.startsWith('s')) fields.set(name.slice(1), applyBelow(field(document, name.slice(1)), value.bytes))
    else throw new MongoFailure(4_770_500, `Unexpected section in a diff: ${name}`)
  }
  return doc(fields)
}

function applyBelow(value: RawValue | undefined, diff: Buffer): unknown {
  const isOfArray = field(diff, 'a') !== undefined
  if (value === undefined || !isNested(value) || (value.type === Type.array) !== isOfArray) {
    throw new MongoFailure(4_770_507, 'A diff does not fit the document')
  }
  if (!isOfArray) return applyDiff(value.bytes, diff)
  const items: unknown[] = Array.from(elements(value.bytes), (item) => item.value)
  const length = asNumber(field(diff, 'l'))
  if (length !== undefined) items.length = length
  for (const { name, value: change } of elements(diff)) {
    if (name === 'a' || name === 'l') continue
    const position = Number(name.slice(1))
    items[position] = name.startsWith('u') ? change : applyBelow(items[position] as RawValue | undefined, change.bytes)
  }
  return encode(Array.from(items, (item) => item ?? null))
}
