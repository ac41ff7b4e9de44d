import { describe, expect, test } from 'vitest'
import { moveParts } from './restore-selection.ts'
import { type Toc, type TocEntry, tocSections } from './toc.ts'

let lastId = 0

function entry(kind: string, tag: string, more: Partial<TocEntry> = {}): TocEntry {
  return {
    dumpId: ++lastId,
    hasData: false,
    tableOid: '0',
    oid: '0',
    tag,
    kind,
    section: tocSections.preData,
    definition: `CREATE ${kind} ${tag};\n`,
    dropStatement: undefined,
    copyStatement: undefined,
    schema: 'public',
    tablespace: undefined,
    tableAccessMethod: undefined,
    relationKind: 0,
    owner: 'postgres',
    withOids: 'false',
    dependencies: [],
    fileName: undefined,
    ...more,
  }
}

const on = (...entries: readonly TocEntry[]): Pick<TocEntry, 'dependencies'> => ({
  dependencies: entries.map(({ dumpId }) => String(dumpId)),
})

const tocOf = (...entries: readonly TocEntry[]): Toc => ({
  minorVersion: 14,
  revision: 0,
  intBytes: 4,
  offsetBytes: 8,
  created: [0, 0, 0, 1, 0, 126, 0],
  database: 'shop',
  serverVersion: '15.18',
  dumpVersion: '15.18',
  entries,
})

const select = (...include: readonly string[]) => ({
  record: { name: 'shop' },
  include: include.map((text) => text.split('.')),
  exclude: [],
  isWhole: false,
})

const nowhere = (): boolean => false

describe('parts of a dump, moved beside what is there,', () => {
  test('never change a table that stays where it is', () => {
    const odd = entry('FUNCTION', 'odd(integer)')
    const other = entry('TABLE', 'other', { schema: 'live' })
    const index = entry('INDEX', 'other_odd', { schema: 'live', ...on(odd, other) })
    const usual = entry('DEFAULT', 'other n', { schema: 'live', ...on(odd, other) })
    const { toc, leftOut } = moveParts(tocOf(odd, other, usual, index), select('shop.public'), [], nowhere)
    expect(toc.entries.map(({ tag }) => tag)).toEqual(['odd(integer)'])
    expect(leftOut).toEqual(['DEFAULT other n', 'INDEX other_odd'])
  })

  test('keep foreign keys between tables that were named one by one', () => {
    const customer = entry('TABLE', 'customer')
    const orders = entry('TABLE', 'orders')
    const item = entry('TABLE', 'item')
    const key = entry('CONSTRAINT', 'customer customer_pkey', on(customer))
    const within = entry('FK CONSTRAINT', 'orders orders_customer', on(key, orders))
    const beyond = entry('FK CONSTRAINT', 'item item_order', on(item, orders))
    const dump = tocOf(customer, orders, item, key, within, beyond)
    const { toc, leftOut } = moveParts(dump, select('shop.public.customer', 'shop.public.orders'), [], nowhere)
    expect(toc.entries.map(({ tag }) => tag)).toEqual([
      'customer',
      'orders',
      'customer customer_pkey',
      'orders orders_customer',
    ])
    expect(leftOut).toEqual(['FK CONSTRAINT item item_order'])
  })

  test('bring types along that the target lacks, with what those need, and name extensions', () => {
    const hstore = entry('EXTENSION', 'hstore', { schema: undefined })
    const mood = entry('TYPE', 'mood')
    const pair = entry('TYPE', 'pair', on(mood, hstore))
    const counter = entry('SEQUENCE', 'counter')
    const value = entry('SEQUENCE SET', 'counter', on(counter))
    const table = entry('TABLE', 'orders', { definition: 'CREATE TABLE public.orders (p public.pair)', ...on(pair) })
    const usual = entry('DEFAULT', 'orders n', on(table, counter))
    const dump = tocOf(hstore, mood, pair, counter, table, usual, value)
    const alone = moveParts(dump, select('shop.public.orders'), [], nowhere)
    expect(alone.broughtAlong.toSorted()).toEqual(['SEQUENCE public.counter', 'TYPE public.mood', 'TYPE public.pair'])
    expect(alone.extensions).toEqual(['hstore'])
    expect(alone.toc.entries.map(({ tag }) => tag)).toEqual([
      'mood',
      'pair',
      'counter',
      'orders',
      'orders n',
      'counter',
    ])
    expect(alone.toc.entries[3]!.definition).toBe('CREATE TABLE "public_restored".orders (p "public_restored".pair)')
    const there = moveParts(dump, select('shop.public.orders'), [], () => true)
    expect(there.broughtAlong).toEqual([])
    expect(there.toc.entries.map(({ tag }) => tag)).toEqual(['orders', 'orders n'])
    expect(there.toc.entries[0]!.definition).toBe('CREATE TABLE "public_restored".orders (p public.pair)')
  })

  test('are all there: one name that is wrong is told, though another is right', () => {
    const dump = tocOf(entry('TABLE', 'orders'), entry('TABLE', 'item'))
    expect(() => moveParts(dump, select('shop.public.orders', 'shop.public.gone'), [], nowhere)).toThrow(
      expect.objectContaining({
        code: 'HF_PATH_NOT_FOUND',
        message: 'shop.public.gone is not in the snapshot',
        hint: 'its tables are public.orders, public.item',
      }),
    )
  })
})
