import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type EntryFields, EntryTable, EntryTableBuilder, ROOT } from './entry-table.ts'

const byteString = fc.uint8Array({ minLength: 1, maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('latin1'))
const instant = fc.record({
  seconds: fc.integer({ min: -62_135_596_800, max: 253_402_300_799 }),
  nanoseconds: fc.integer({ min: 0, max: 999_999_999 }),
})
const fields: fc.Arbitrary<EntryFields> = fc.record({
  parent: fc.constant(ROOT),
  name: byteString,
  kind: fc.constantFrom('dir', 'file', 'symlink', 'dev', 'chardev', 'fifo', 'link'),
  action: fc.constantFrom('create', 'replace', 'update', 'adjust', 'skip'),
  mode: fc.integer({ min: 0, max: 0o7777 }),
  uid: fc.integer({ min: 0, max: 0xffff_ffff }),
  gid: fc.integer({ min: 0, max: 0xffff_ffff }),
  modified: instant,
  accessed: instant,
  number: fc.maxSafeNat(),
  contentEnd: fc.nat(),
  linkTarget: fc.oneof(fc.constant(''), byteString),
  extendedAttributes: fc.array(
    fc.record({ name: byteString, value: fc.oneof(fc.constant(null), fc.uint8Array({ maxLength: 300 })) }),
    { maxLength: 3 },
  ),
})

test('holds every field of many entries, as seen from another thread', () => {
  fc.assert(
    fc.property(fc.array(fields, { minLength: 1, maxLength: 60 }), fc.integer({ min: 1, max: 40 }), (all, repeat) => {
      const builder = new EntryTableBuilder()
      const entries = Array.from({ length: repeat }, () => all).flat()
      for (const entry of entries) builder.append(entry)
      const table = new EntryTable(structuredClone(builder.build().memory))
      expect(table.count).toBe(entries.length)
      for (const [i, entry] of entries.entries()) {
        const { memory } = table
        expect(Buffer.from(table.name(i)).toString('latin1')).toBe(entry.name)
        expect([table.kind(i), table.action(i), table.contentEnd(i)]).toEqual([
          entry.kind,
          entry.action,
          entry.contentEnd,
        ])
        expect([memory.mode[i], memory.uid[i], memory.gid[i]]).toEqual([entry.mode, entry.uid, entry.gid])
        expect(memory.number[i]).toBe(entry.number)
        expect({ seconds: memory.modifiedSeconds[i], nanoseconds: memory.modifiedNanoseconds[i] }).toEqual(
          entry.modified,
        )
        expect({ seconds: memory.accessedSeconds[i], nanoseconds: memory.accessedNanoseconds[i] }).toEqual(
          entry.accessed,
        )
        const extra = table.extra(i)
        expect(Buffer.from(extra.linkTarget).toString('latin1')).toBe(entry.linkTarget)
        expect(extra.extendedAttributes.map(({ name, value }) => [name, [...value]])).toEqual(
          entry.extendedAttributes.map(({ name, value }) => [name, [...(value ?? [])]]),
        )
      }
    }),
    { numRuns: 30 },
  )
})

test('drops entries from the end and forms paths', () => {
  const builder = new EntryTableBuilder()
  const add = (parent: number, name: string): number =>
    builder.append({
      parent,
      name,
      kind: 'dir',
      action: 'create',
      mode: 0,
      uid: 0,
      gid: 0,
      modified: { seconds: 0, nanoseconds: 0 },
      accessed: { seconds: 0, nanoseconds: 0 },
      number: 0,
      contentEnd: 0,
      linkTarget: '',
      extendedAttributes: [],
    })
  const root = add(ROOT, '')
  const first = add(root, 'first')
  add(first, 'dropped')
  builder.truncate(2)
  const second = add(first, 'b\xff')
  const table = builder.build()
  expect([root, first, second].map((entry) => table.path(entry))).toEqual(['/', '/first', '/first/b\xff'])
})
