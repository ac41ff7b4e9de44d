import { asBoolean, asNumber, doc, elements, NULL, Type } from './bson.ts'
import type { Collation } from './collation.ts'
import { compareValues } from './compare.ts'
import { MongoFailure } from './failure.ts'
import { valuesAt } from './match.ts'

/** All documents in the order of a sort specification; equal ones stay as they were. */
export function sorted(documents: Iterable<Buffer>, sort: Buffer, collation: Collation | undefined): readonly Buffer[] {
  const keys = Array.from(elements(sort), ({ name, value }) => ({
    path: name.split('.'),
    direction: (asNumber(value) ?? 1) < 0 ? -1 : 1,
  }))
  const rows = Array.from(documents, (document) => ({
    document,
    values: keys.map(({ path }) => valuesAt(document, path)[0] ?? NULL),
  }))
  rows.sort((a, b) => {
    for (const [position, { direction }] of keys.entries()) {
      const order = compareValues(a.values[position]!, b.values[position]!, collation?.compare)
      if (order !== 0) return order * direction
    }
    return 0
  })
  return rows.map(({ document }) => document)
}

/**
 * A projection that names fields to keep or to leave out, at the top of the document.
 * @throws MongoFailure BadValue for others
 */
export function compileProjection(projection: Buffer): (document: Buffer) => Buffer {
  const named = [...elements(projection)]
  if (named.length === 0) return (document) => document
  const computed = named.find(
    ({ name, value }) => name.includes('.') || (value.type !== Type.boolean && asNumber(value) === undefined),
  )
  if (computed !== undefined) throw new MongoFailure(2, `this server cannot project ${computed.name}`)
  const isKeeping =
    named.some(({ name, value }) => name !== '_id' && asBoolean(value)) ||
    (named.length === 1 && named[0]!.name === '_id' && asBoolean(named[0]!.value))
  const kept = new Map(named.map(({ name, value }) => [name, asBoolean(value)]))
  return (document) =>
    doc(
      Array.from(elements(document), ({ name, value }) => [name, value] as const).filter(
        ([name]) => kept.get(name) ?? (isKeeping ? name === '_id' : true),
      ),
    )
}
