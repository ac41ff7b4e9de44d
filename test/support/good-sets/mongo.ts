import { BSON, type CreateIndexesOptions, type Db, type Document, type IndexSpecification } from 'mongodb'
import type { Dice } from './dice.ts'

const { Binary, Code, Decimal128, Double, Int32, Long, MaxKey, MinKey, ObjectId, Timestamp } = BSON

/** Fills databases whose names begin with `prefix`: collections of all sorts, indexes and options, documents of every BSON type. */
export async function fillMongoSet(dice: Dice, database: (name: string) => Db, prefix: string): Promise<void> {
  for (let d = 0, databases = dice.between(1, 2); d < databases; d++) {
    const db = database(`${prefix}_${d}`)
    for (let c = 0, collections = dice.between(1, 4); c < collections; c++) {
      const name = `${dice.pick(['orders', 'Straßen', 'with space', 'a.b.c', 'x-y', 'log%2F'])} ${c}`
      const isCapped = dice.oneIn(5)
      await db.createCollection(name, {
        ...(isCapped && { capped: true, size: 1 << 20, max: 5000 }),
        ...(dice.oneIn(4) && { validator: { n: { $gte: 0 } }, validationLevel: 'moderate', validationAction: 'warn' }),
        ...(dice.oneIn(5) && { collation: { locale: 'de', strength: 2 } }),
      })
      const documents = Array.from({ length: dice.pick([0, 1, 3, 100, 700]) }, (_, i) => document(dice, i))
      if (documents.length > 0) await db.collection(name).insertMany(documents)
      for (const [keys, options] of dice.some(
        isCapped ? indexes.filter(([, { expireAfterSeconds }]) => expireAfterSeconds === undefined) : indexes,
      ))
        await db.collection(name).createIndex(keys, options)
      if (dice.oneIn(4))
        await db.createCollection(`view of ${c}`, {
          viewOn: name,
          pipeline: [{ $match: { n: { $lt: dice.below(50) } } }],
        })
    }
  }
}

const indexes: readonly (readonly [IndexSpecification, CreateIndexesOptions])[] = [
  [{ n: 1 }, { name: 'by number' }],
  [
    { n: -1, text: 1 },
    { unique: true, name: 'pair' },
  ],
  [{ text: 1 }, { sparse: true, name: 'sparse text' }],
  [
    { n: 1, at: 1 },
    { partialFilterExpression: { n: { $gt: 5 } }, name: 'some' },
  ],
  [{ at: 1 }, { expireAfterSeconds: 1_000_000_000, name: 'old ones' }],
  [{ text: 'hashed' }, { name: 'hashed' }],
  [{ 'inner.deep': 1 }, { hidden: true, name: 'unseen' }],
]

/** `n` tells documents of a collection apart. */
function document(dice: Dice, n: number): Document {
  const fields = Array.from({ length: dice.below(6) }, (_, i) => [
    `${dice.word().replaceAll(/[$.]/g, '_')}${i}`,
    value(dice, 2),
  ])
  return {
    _id: dice.pick<unknown>([n, `id ${n}`, new ObjectId(dice.bytes(12)), { part: n }, new Date(n)]),
    n,
    text: `${dice.word()} ${n}`,
    at: new Date(1_700_000_000_000 + dice.below(1e9)),
    ...Object.fromEntries(fields),
  }
}

function value(dice: Dice, depth: number): unknown {
  const plain: readonly (() => unknown)[] = [
    () => new Double(dice.pick([0.1, -0, 1e308, Number.POSITIVE_INFINITY])),
    () => dice.word(60),
    () => new Binary(dice.bytes(dice.below(50)), dice.pick([0, 5, 128])),
    () => new Binary(dice.bytes(16), 4),
    () => new ObjectId(dice.bytes(12)),
    () => dice.oneIn(2),
    () => new Date(dice.pick([0, -1, 253_402_300_799_999])),
    () => null,
    () => new BSON.BSONRegExp('^a.*', 'i'),
    () => new Code('function () { return 1 }'),
    () => new Int32(dice.pick([0, -2_147_483_648, 2_147_483_647])),
    () => new Timestamp({ t: dice.below(1e9), i: dice.below(1e6) }),
    () => Long.fromString(dice.pick(['0', '-9223372036854775808', '9223372036854775807'])),
    () => Decimal128.fromString(dice.pick(['0', '-1.50', '1E+6000', 'NaN', 'Infinity'])),
    () => new MinKey(),
    () => new MaxKey(),
  ]
  if (depth > 0 && dice.oneIn(4)) return Array.from({ length: dice.below(4) }, () => value(dice, depth - 1))
  if (depth > 0 && dice.oneIn(4)) return { inner: value(dice, depth - 1), deep: dice.below(9) }
  return dice.pick(plain)()
}
