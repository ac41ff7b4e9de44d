import { readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { BSON, Int32, Long, ObjectId, Timestamp, UUID } from 'mongodb'
import { describe, expect, test, vi } from 'vitest'
import { rawDocument, typedDocument } from '../bson/typed.ts'
import type { CollectionEntry } from '../catalog.ts'
import { applyUpdate } from './diff.ts'
import { readEntry } from './entry.ts'
import { OplogFold } from './fold.ts'
import { Transactions } from './transactions.ts'

const raw = (document: object): Buffer => rawDocument(document)
const plain = (document: Buffer | undefined): unknown => document && BSON.deserialize(document)

const diffed = (document: object, diff: object): unknown =>
  plain(applyUpdate(raw(document), raw({ $v: new Int32(2), diff })))

describe('updates', () => {
  test('fields are removed, changed in their place, and added behind the others', () => {
    expect(
      JSON.stringify(
        diffed({ _id: 1, a: 1, b: 2, c: 3 }, { d: { a: false }, u: { b: 'two', x: 9 }, i: { n: 0, c: 4 } }),
      ),
    ).toBe('{"_id":1,"b":"two","x":9,"n":0,"c":4}')
  })

  test('differences within documents and arrays', () => {
    const before = { _id: 1, in: { deep: { x: 1, y: 2 } }, list: [1, { a: 1 }, 3, 4] }
    const diff = { sin: { sdeep: { u: { y: 3 } } }, slist: { a: true, l: 3, s1: { i: { b: 2 } }, u2: 'three' } }
    expect(diffed(before, diff)).toEqual({ _id: 1, in: { deep: { x: 1, y: 3 } }, list: [1, { a: 1, b: 2 }, 'three'] })
    expect(diffed({ _id: 1, list: [1] }, { slist: { a: true, u3: 4 } })).toEqual({ _id: 1, list: [1, null, null, 4] })
    expect(diffed({ _id: 1, list: [1] }, { slist: { a: true, l: 2 } })).toEqual({ _id: 1, list: [1, null] })
  })

  test('what does not fit a newer document is left alone', () => {
    expect(diffed({ _id: 1, in: 'text', list: {} }, { sin: { u: { a: 1 } }, slist: { a: true, u0: 1 } })).toEqual({
      _id: 1,
      in: 'text',
      list: {},
    })
  })

  test('forms that are not known are refused', () => {
    expect(() => applyUpdate(raw({ _id: 1 }), raw({ $v: 1, $set: { a: 1 } }))).toThrow('version 1')
    expect(() => diffed({ _id: 1, a: Buffer.alloc(3) }, { sa: {}, b: {} })).toThrow('section "b"')
    expect(() => diffed({ _id: 1, a: [] }, { sa: { a: true, u999999999: 1 } })).toThrow('index')
  })
})

const entry = (collection: string, options: object = {}): CollectionEntry => ({
  database: 'shop',
  collection,
  type: 'viewOn' in options ? 'view' : 'timeseries' in options ? 'timeseries' : 'collection',
  options: raw(options),
  indexes: 'viewOn' in options ? [] : [raw({ v: 2, key: { _id: 1 }, name: '_id_' })],
  uuid: undefined,
})

let counter = 0
const at = (op: string, ns: string, o: object, more: object = {}): object => ({
  op,
  ns,
  o,
  ts: new Timestamp({ t: 100, i: ++counter }),
  t: Long.fromNumber(1),
  v: 2,
  wall: new Date(),
  ...more,
})

function fold(catalog: readonly CollectionEntry[], entries: readonly object[]): OplogFold {
  const folded = new OplogFold(catalog)
  folded.add(Buffer.concat(entries.map(raw)))
  return folded
}

/** What a collection has in the end when this is its copy. */
function finalOf(folded: OplogFold, name: string, copy: readonly object[]): readonly unknown[] {
  const collection = folded.collections.get(name)!
  const kept = collection.base === undefined ? [] : copy.map((document) => collection.finalState(raw(document)))
  return [...kept.filter((document) => document !== undefined), ...collection.rest()].map(plain)
}

describe('folding', () => {
  test('each document is in its last state, once, whether the copy has it early, late or not at all', () => {
    const folded = fold(
      [entry('a')],
      [
        at('i', 'shop.a', { _id: 1, n: 1 }),
        at('u', 'shop.a', { $v: 2, diff: { u: { n: 2 } } }, { o2: { _id: 1 } }),
        at('u', 'shop.a', { $v: 2, diff: { i: { seen: true } } }, { o2: { _id: 2 } }),
        at('d', 'shop.a', { _id: 3 }),
        at('i', 'shop.a', { _id: 4, n: 4 }),
        at('u', 'shop.a', { _id: 5, whole: true }, { o2: { _id: 5 } }),
        at('n', '', { msg: 'periodic noop' }),
      ],
    )
    const copy = [
      { _id: 1, n: 1 },
      { _id: 2, n: 0 },
      { _id: 3 },
      { _id: 5 },
      { _id: 6, left: 'alone' },
      { _id: 1, n: 2 },
    ]
    expect(finalOf(folded, 'shop.a', copy)).toEqual([
      { _id: 1, n: 2 },
      { _id: 2, n: 0, seen: true },
      { _id: 5, whole: true },
      { _id: 6, left: 'alone' },
      { _id: 4, n: 4 },
    ])
    expect(folded.collections.get('shop.a')!.orphans).toBe(0)
  })

  test('ids are told apart by type and bytes', () => {
    const id = new ObjectId()
    const folded = fold([entry('a')], [at('d', 'shop.a', { _id: '1' }), at('d', 'shop.a', { _id: id })])
    expect(finalOf(folded, 'shop.a', [{ _id: 1 }, { _id: '1' }, { _id: id }])).toEqual([{ _id: 1 }])
  })

  test('an update of a document that nobody has shows that something is missing', () => {
    const folded = fold([entry('a')], [at('u', 'shop.a', { $v: 2, diff: { u: { n: 2 } } }, { o2: { _id: 7 } })])
    expect(finalOf(folded, 'shop.a', [])).toEqual([])
    expect(folded.collections.get('shop.a')!.orphans).toBe(1)
  })

  test('collections are made, dropped, renamed; indexes and options change', () => {
    const folded = fold(
      [entry('a'), entry('b'), entry('v', { viewOn: 'a', pipeline: [] })],
      [
        at('c', 'shop.$cmd', { create: 'tmp', idIndex: { v: 2, key: { _id: 1 }, name: '_id_' }, validator: { n: 1 } }),
        at('i', 'shop.tmp', { _id: 1 }),
        at('c', 'shop.$cmd', { renameCollection: 'shop.tmp', to: 'shop.b', dropTarget: new UUID() }),
        at('c', 'shop.$cmd', { createIndexes: 'b', v: 2, key: { '10': 1, '2': -1 }, name: 'odd' }),
        at('c', 'shop.$cmd', { startIndexBuild: 'a', indexes: [] }),
        at('c', 'shop.$cmd', {
          commitIndexBuild: 'a',
          indexBuildUUID: new UUID(),
          indexes: [{ v: 2, key: { t: 1 }, name: 'ttl', expireAfterSeconds: 10 }],
        }),
        at('c', 'shop.$cmd', { collMod: 'a', index: { name: 'ttl', expireAfterSeconds: 20, hidden: true } }),
        at('c', 'shop.$cmd', { collMod: 'a', validationLevel: 'off' }),
        at('d', 'shop.system.views', { _id: 'shop.v' }),
        at('i', 'shop.system.views', { _id: 'shop.w', viewOn: 'b', pipeline: [{ $match: {} }] }),
      ],
    )
    expect([...folded.collections.keys()].sort()).toEqual(['shop.a', 'shop.b', 'shop.w'])
    expect(finalOf(folded, 'shop.b', [{ _id: 99 }])).toEqual([{ _id: 1 }])
    const catalog = new Map(folded.catalog().map((one) => [one.collection, one]))
    expect(plain(catalog.get('a')!.options)).toEqual({ validationLevel: 'off' })
    expect(catalog.get('a')!.indexes.map(plain).at(-1)).toMatchObject({
      name: 'ttl',
      expireAfterSeconds: 20,
      hidden: true,
    })
    expect(plain(catalog.get('b')!.options)).toEqual({ validator: { n: 1 } })
    const odd = typedDocument(catalog.get('b')!.indexes.at(-1)!).get('key') as Map<string, unknown>
    expect([...odd.keys()]).toEqual(['2', '10'])
    expect(catalog.get('w')).toMatchObject({ type: 'view' })
    expect(() => fold([entry('a')], [at('c', 'shop.$cmd', { importCollection: 'a' })])).toThrow('importCollection')
  })

  test('transactions count when they are committed, from their beginning, and not when they are aborted', () => {
    const session = (number: number, previous?: object): object => ({
      lsid: { id: new UUID('11111111-1111-4111-8111-111111111111') },
      txnNumber: Long.fromNumber(number),
      prevOpTime: {
        ts: previous === undefined ? new Timestamp(0n) : new Timestamp({ t: 100, i: 1 }),
        t: Long.fromNumber(1),
      },
    })
    const insert = (id: number): object => ({ op: 'i', ns: 'shop.a', o: { _id: id } })
    const apply = (ids: readonly number[], number: number, flags: object, previous?: object): object =>
      at('c', 'admin.$cmd', { applyOps: ids.map(insert), ...flags }, session(number, previous))
    const folded = fold(
      [entry('a')],
      [
        apply([1], 1, {}),
        apply([2], 2, { partialTxn: true }),
        apply([30], 3, { partialTxn: true }),
        apply([4], 4, { prepare: true }),
        apply([50], 5, { prepare: true }),
        at('c', 'admin.$cmd', { abortTransaction: 1 }, session(5, {})),
        apply([3], 2, { count: 2 }, {}),
        at('c', 'admin.$cmd', { commitTransaction: 1, commitTimestamp: new Timestamp(1n) }, session(4, {})),
        at('c', 'admin.$cmd', { applyOps: [insert(5), insert(6)] }),
        at('c', 'admin.$cmd', { applyOps: [insert(7)] }, { ...session(9, {}), multiOpType: 1 }),
      ],
    )
    expect(finalOf(folded, 'shop.a', []).map((document) => (document as { _id: number })._id)).toEqual([
      1, 2, 3, 4, 5, 6, 7,
    ])
    expect(() => fold([entry('a')], [apply([1], 8, {}, {})])).toThrow('beginning of the transaction')
  })

  test('transactions that are open at the same time have a limit, those that were ended do not count', () => {
    const transactions = new Transactions(2000)
    const session = (number: number): object => ({
      lsid: { id: new UUID('11111111-1111-4111-8111-111111111111') },
      txnNumber: Long.fromNumber(number),
      prevOpTime: { ts: new Timestamp(0n), t: Long.fromNumber(1) },
    })
    const insert = { op: 'i', ns: 'shop.a', o: { _id: 1, text: 'x'.repeat(1000) } }
    const begin = (number: number): unknown =>
      transactions.operations(
        readEntry(raw(at('c', 'admin.$cmd', { applyOps: [insert], partialTxn: true }, session(number)))),
      )
    const end = (number: number): unknown =>
      transactions.operations(readEntry(raw(at('c', 'admin.$cmd', { abortTransaction: 1 }, session(number)))))
    for (let number = 1; number < 10; number++) {
      begin(number)
      end(number)
    }
    begin(10)
    expect(() => begin(11)).toThrow('transactions that are open at the same time')
  })

  test('what is too much for memory goes to disk, and comes to the same', () => {
    const before = readdirSync(tmpdir()).filter((name) => name.startsWith('holdfast-oplog-'))
    let state = 1
    const below = (limit: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
      return (state >>> 8) % limit
    }
    const copy = Array.from({ length: 50 }, (_, n) => ({ _id: n, n: 0, text: 'before' }))
    const entries = Array.from({ length: 2000 }, (_, step): object => {
      const _id = below(80)
      switch (below(10)) {
        case 0:
        case 1:
          return at('i', 'shop.a', { _id, n: step, text: 'made' })
        case 2:
        case 3:
          return at('d', 'shop.a', { _id })
        case 4:
          return at('u', 'shop.a', { _id, whole: step }, { o2: { _id } })
        default:
          return at('u', 'shop.a', { $v: 2, diff: { u: { n: step } } }, { o2: { _id } })
      }
    })
    const inMemory = fold([entry('a'), entry('b')], entries)
    for (const memoryBytes of [0, 3000, 50_000]) {
      using onDisk = new OplogFold([entry('a'), entry('b')], memoryBytes)
      for (const one of entries) onDisk.add(raw(one))
      const wanted = fold([entry('a'), entry('b')], entries)
      const sorted = (documents: readonly unknown[]): readonly unknown[] =>
        documents.map((one) => JSON.stringify(one)).sort()
      expect(sorted(finalOf(onDisk, 'shop.a', copy))).toEqual(sorted(finalOf(wanted, 'shop.a', copy)))
      expect(onDisk.collections.get('shop.a')!.orphans).toBe(wanted.collections.get('shop.a')!.orphans)
      expect(onDisk.collections.get('shop.b')!.isTouched).toBe(false)
    }
    expect(finalOf(inMemory, 'shop.a', copy).length).toBeGreaterThan(20)
    expect(readdirSync(tmpdir()).filter((name) => name.startsWith('holdfast-oplog-'))).toEqual(before)
  })

  test('where nothing can be written it says so', () => {
    vi.stubEnv('HOLDFAST_SANDBOX_DIR', '/nonexistent')
    try {
      using folded = new OplogFold([entry('a')], 0)
      expect(() => folded.add(raw(at('i', 'shop.a', { _id: 1 })))).toThrow(
        expect.objectContaining({ code: 'HF_RESTORE_FAILED', hint: expect.stringContaining('HOLDFAST_SANDBOX_DIR') }),
      )
    } finally {
      vi.unstubAllEnvs()
    }
  })

  test('on disk, new documents come in the order in which they were made, and what is emptied is empty', () => {
    using folded = new OplogFold([entry('a'), entry('log', { capped: true, size: 4096 })], 0)
    for (const _id of [9, 3, 7, 1]) folded.add(raw(at('i', 'shop.a', { _id })))
    folded.add(raw(at('u', 'shop.a', { $v: 2, diff: { i: { later: true } } }, { o2: { _id: 3 } })))
    folded.add(raw(at('i', 'shop.log', { _id: 1 })))
    folded.add(raw(at('c', 'shop.$cmd', { emptycapped: 'log' })))
    folded.add(raw(at('i', 'shop.log', { _id: 2 })))
    expect(finalOf(folded, 'shop.a', [{ _id: 1, old: true }])).toEqual([
      { _id: 1 },
      { _id: 9 },
      { _id: 3, later: true },
      { _id: 7 },
    ])
    expect(finalOf(folded, 'shop.log', [])).toEqual([{ _id: 2 }])
  })
})
