import { createHash } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { HoldfastError } from '../../../lib/errors.ts'
import { parseTime, type Timestamp } from '../../../lib/go-time.ts'
import { decodePackedTree, decodeTree } from './decode-tree.ts'
import { encodeTree, sortNodes } from './encode-tree.ts'
import {
  createNode,
  isPlainName,
  type Node,
  type NodeFields,
  nodesEqual,
  nodeTypes,
  textToByteString,
  uint64,
} from './node.ts'

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1')
const text = (data: Uint8Array): string => Buffer.from(data).toString('latin1')
const time = parseTime('2024-01-02T03:04:05.6+01:00')!
const node = (fields: Partial<NodeFields>): Node =>
  createNode({ name: 'a', type: 'file', mtime: time, atime: time, ctime: time, ...fields })
const T =
  '"mtime":"2024-01-02T03:04:05.6+01:00","atime":"2024-01-02T03:04:05.6+01:00","ctime":"2024-01-02T03:04:05.6+01:00"'

const byteString = fc.uint8Array({ minLength: 1, maxLength: 20 }).map((raw) => Buffer.from(raw).toString('latin1'))
const name = fc.oneof(
  byteString,
  fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }).map((s) => textToByteString(s.toWellFormed())),
)
const id = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((raw) => Buffer.from(raw).toString('hex'))
const number = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(uint64)
const timestamp: fc.Arbitrary<Timestamp> = fc.record({
  seconds: fc.integer({ min: -62_135_000_000, max: 253_402_000_000 }),
  nanoseconds: fc.integer({ min: 0, max: 999_999_999 }),
  offsetSeconds: fc.integer({ min: -840, max: 840 }).map((minutes) => minutes * 60 || 0),
})
const nodes: fc.Arbitrary<Node> = fc.record({
  name,
  type: fc.constantFrom(...nodeTypes),
  mode: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  mtime: timestamp,
  atime: timestamp,
  ctime: timestamp,
  uid: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  gid: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  user: fc.string({ unit: 'binary' }).map((s) => s.toWellFormed()),
  group: fc.string({ unit: 'binary' }).map((s) => s.toWellFormed()),
  inode: number,
  deviceId: number,
  size: number,
  links: number,
  linkTarget: fc.oneof(fc.constant(''), byteString),
  extendedAttributes: fc.array(
    fc.record({ name: fc.string({ unit: 'binary-ascii' }), value: fc.option(fc.uint8Array()) }),
    { maxLength: 3 },
  ),
  genericAttributes: fc.constantFrom([], [{ name: 'windows.file_attributes', json: '32' }]),
  device: number,
  content: fc.option(fc.array(id, { maxLength: 4 })),
  subtree: fc.option(id, { nil: undefined }),
  error: fc.string({ unit: 'binary' }).map((s) => s.toWellFormed()),
})
const directories = fc.uniqueArray(nodes, { selector: (n) => n.name, maxLength: 6 }).map((list) => sortNodes(list))

describe('stored form', () => {
  test('an empty directory has the well-known id', () => {
    const tree = encodeTree([])
    expect(text(tree)).toBe('{"nodes":[]}\n')
    expect(createHash('sha256').update(tree).digest('hex')).toBe(
      'ac08ce34ba4f8123618661bef2425f7028ffb9ac740578a3ee88684d2523fee8',
    )
  })

  test('keys have a fixed order and empty ones are left out', () => {
    const full = node({
      mode: 420,
      uid: 1,
      gid: 2,
      user: 'u',
      group: 'g',
      inode: 3,
      deviceId: 4,
      size: 5,
      links: 6,
      linkTarget: 't',
      extendedAttributes: [
        { name: 'user.b', value: bytes('bar') },
        { name: 'user.a', value: bytes('') },
        { name: 'user.n', value: null },
      ],
      genericAttributes: [{ name: 'windows.x', json: '{"a":1}' }],
      device: 7,
      content: [],
      subtree: 'ab'.repeat(32),
      error: 'e',
    })
    expect(text(encodeTree([full, node({ name: 'b', type: 'dir' })]))).toBe(
      `{"nodes":[{"name":"a","type":"file","mode":420,${T},"uid":1,"gid":2,"user":"u","group":"g","inode":3,"device_id":4,"size":5,"links":6,"linktarget":"t","extended_attributes":[{"name":"user.b","value":"YmFy"},{"name":"user.a","value":""},{"name":"user.n","value":null}],"generic_attributes":{"windows.x":{"a":1}},"device":7,"content":[],"subtree":"${'ab'.repeat(32)}","error":"e"},{"name":"b","type":"dir",${T},"uid":0,"gid":0,"content":null}]}\n`,
    )
  })

  // Recorded from restic: the bytes of a name and the JSON it stored.
  test.each([
    ['a"b\\c', 'a\\\\\\"b\\\\\\\\c'],
    ['bad\xff', 'bad\\\\xff'],
    ['\t', '\\\\t'],
    ['<tag>&amp', '\\u003ctag\\u003e\\u0026amp'],
    [textToByteString('\u00ad'), '\\\\u00ad'],
    [textToByteString('\u2028'), '\\\\u2028'],
    [textToByteString('\u{e0001}'), '\\\\U000e0001'],
    [textToByteString('\u{1f600}\u6f22'), textToByteString('\u{1f600}\u6f22')],
    [textToByteString('\ufffd'), textToByteString('\ufffd')],
    [textToByteString('\u{1fae9}'), '\\\\U0001fae9'],
    ['\x7f', '\\\\x7f'],
    ['\x07\x08\x0b\x0c\r\n\x01', '\\\\a\\\\b\\\\v\\\\f\\\\r\\\\n\\\\x01'],
    ["it's", "it's"],
  ])('name %j', (raw, stored) => {
    const tree = encodeTree([node({ name: raw })])
    expect(text(tree)).toContain(`{"name":"${stored}","type"`)
    expect(decodeTree(tree).nodes[0]!.name).toBe(raw)
  })

  test('a link target that is not UTF-8 is kept in raw form beside a readable one', () => {
    const tree = encodeTree([node({ type: 'symlink', linkTarget: 'x\xff\xfe/\u0001' })])
    expect(text(tree)).toContain(
      `"linktarget":"x\\ufffd\\ufffd/\\u0001","linktarget_raw":"${Buffer.from('x\xff\xfe/\x01', 'latin1').toString('base64')}"`,
    )
    expect(decodeTree(tree).nodes[0]!.linkTarget).toBe('x\xff\xfe/\u0001')
  })

  test('64-bit numbers stay exact', () => {
    const tree = encodeTree([
      node({ inode: 18_446_744_073_709_551_615n, size: 9_007_199_254_740_993n, links: 2 ** 53 - 1 }),
    ])
    expect(text(tree)).toContain('"inode":18446744073709551615,"size":9007199254740993,"links":9007199254740991')
    const read = decodeTree(tree).nodes[0]!
    expect([read.inode, read.size, read.links]).toEqual([
      18_446_744_073_709_551_615n,
      9_007_199_254_740_993n,
      2 ** 53 - 1,
    ])
  })

  test('years outside four digits are clamped, the rest of the time stays', () => {
    const late = { seconds: 253_436_860_799, nanoseconds: 5, offsetSeconds: 0 }
    expect(text(encodeTree([node({ mtime: late })]))).toContain('"mtime":"9999-02-03T23:59:59.000000005Z"')
  })
})

describe('round trip', () => {
  test('whatever is written is read back equal, and written again the same', () => {
    void fc.assert(
      fc.property(directories, (list) => {
        const encoded = encodeTree(list)
        const decoded = decodeTree(encoded).nodes
        expect(decoded.map(withoutBuffers)).toEqual(list.map(withoutBuffers))
        expect(decoded.every((n, i) => nodesEqual(n, list[i]!))).toBe(true)
        expect(text(encodeTree(decoded))).toBe(text(encoded))
      }),
      { numRuns: 300 },
    )
  })

  test('lists of blobs as bytes say the same', () => {
    void fc.assert(
      fc.property(directories, (list) => {
        const encoded = encodeTree(list)
        const { nodes } = decodePackedTree(encoded)
        const contents = nodes.map(({ content }) => content && Buffer.from(content).toString('hex'))
        expect(contents).toEqual(list.map(({ content }) => (content === null ? null : content.join(''))))
        expect(nodes.map(({ content: _, ...rest }) => withoutBuffers({ ...rest, content: null }))).toEqual(
          list.map((n) => withoutBuffers({ ...n, content: null })),
        )
        expect(text(encodeTree(nodes))).toBe(text(encoded))
      }),
    )
    const many = Array.from({ length: 100 }, (_, i) => createHash('sha256').update(`${i}`).digest('hex'))
    const encoded = encodeTree([node({ content: many })])
    expect(text(encodeTree(decodePackedTree(encoded).nodes))).toBe(text(encoded))
    for (const [from, to] of [
      ['"]', '",]'],
      ['["', '[,"'],
      [many[7]!, `${many[7]!.slice(0, 63)}g`],
      ['"]', '"}'],
    ] as const)
      expect(() => decodePackedTree(Buffer.from(text(encoded).replace(from, to)))).toThrow('is damaged at byte')
  })

  test('the stored form is JSON that another parser understands', () => {
    void fc.assert(
      fc.property(directories, (list) => {
        const parsed = JSON.parse(Buffer.from(encodeTree(list)).toString('utf8')) as { nodes: { user?: string }[] }
        expect(parsed.nodes.map((n) => n.user ?? '')).toEqual(list.map((n) => n.user))
      }),
    )
  })

  test('memory shared between threads and views with an offset are read', () => {
    const encoded = encodeTree([node({ name: 'shared' })])
    const shared = new Uint8Array(new SharedArrayBuffer(encoded.length + 7), 7)
    shared.set(encoded)
    expect(decodeTree(shared).nodes[0]!.name).toBe('shared')
  })

  test('a very large directory and a very large file', () => {
    const content = Array.from({ length: 20_000 }, (_, i) => i.toString(16).padStart(64, '0'))
    const list = Array.from({ length: 30_000 }, (_, i) =>
      node({ name: `f${String(i).padStart(5, '0')}`, inode: i + 1 }),
    )
    list.push(node({ name: 'g', content }))
    const read = decodeTree(encodeTree(list)).nodes
    expect(read.length).toBe(30_001)
    expect(read[29_999]!.inode).toBe(30_000)
    expect(read[30_000]!.content).toEqual(content)
  })
})

/** Buffers and Uint8Arrays of equal content are not equal to the test runner. */
const withoutBuffers = (n: Node): unknown => ({
  ...n,
  extendedAttributes: n.extendedAttributes.map((a) => ({ ...a, value: a.value === null ? null : [...a.value] })),
})

describe('writing refuses', () => {
  test.each([
    ['a name twice', [node({}), node({})]],
    ['wrong order', [node({ name: 'b' }), node({ name: 'a' })]],
    [
      'text order where byte order differs',
      [node({ name: textToByteString('\u{1f600}') }), node({ name: textToByteString('\uffee') })],
    ],
    ['an empty name', [node({ name: '' })]],
    ['an unknown type', [node({ type: 'unknown' })]],
    ['something that is no id', [node({ content: ['1234'] })]],
  ])('%s', (_, list) => {
    expect(() => encodeTree(list)).toThrow(HoldfastError)
  })
})

describe('reading is lenient where restic is', () => {
  const only = (json: string): Node => decodeTree(bytes(json)).nodes[0]!

  test('unknown keys, white space and any order', () => {
    const read = only(
      ` {"version": [1, {"x": null}], "nodes" : [ { "size" : 7 , "future":{"deep":[true,false,-1.5e3,"\\u0041"]}, "type":"file", "name" : "n" , "mode":null } ] , "more":1}\n`,
    )
    expect([read.name, read.type, read.size, read.mode]).toEqual(['n', 'file', 7, 0])
  })

  test('fields that are missing are empty', () => {
    const read = only('{"nodes":[{"name":"n"}]}')
    expect(read).toMatchObject({ type: 'unknown', content: null, subtree: undefined, user: '', inode: 0 })
    expect(read.mtime.seconds).toBe(-62_135_596_800)
  })

  test('a list of nodes that is null is an empty directory', () => {
    expect(decodeTree(bytes('{"nodes":null}')).nodes).toEqual([])
  })

  test('nodes stored out of order are sorted', () => {
    expect(decodeTree(bytes('{"nodes":[{"name":"b"},{"name":"a"}]}')).nodes.map((n) => n.name)).toEqual(['a', 'b'])
  })

  test('a type of some newer program', () => {
    expect(only('{"nodes":[{"name":"n","type":"portal"}]}').type).toBe('unknown')
  })

  test('every way Go reads a quoted name', () => {
    expect(only('{"nodes":[{"name":"\\\\101\\\\x42\\\\u0043\\\\U00000044\\u0045"}]}').name).toBe('ABCDE')
  })

  test('halves of surrogate pairs and bytes that are not UTF-8 become the replacement character', () => {
    const replaced = textToByteString('\ufffd')
    expect(only('{"nodes":[{"name":"\\ud800x"}]}').name).toBe(`${replaced}x`)
    expect(only('{"nodes":[{"name":"\xffx"}]}').name).toBe(`${replaced}x`)
    expect(only('{"nodes":[{"name":"\\ud83d\\ude00"}]}').name).toBe(textToByteString('\u{1f600}'))
  })

  test('generic attributes are carried in compact form, sorted', () => {
    const read = only(
      '{"nodes":[{"name":"n","type":"file","generic_attributes":{"windows.b": {"x" : "<a  b>"}, "windows.a":3}}]}',
    )
    expect(read.genericAttributes).toEqual([
      { name: 'windows.a', json: '3' },
      { name: 'windows.b', json: '{"x":"\\u003ca  b\\u003e"}' },
    ])
  })

  test('a generic attribute of any length', () => {
    const long = `["${'<\\\\ '.repeat(300_000)}", 1]`
    const [attribute] = only(`{"nodes":[{"name":"n","generic_attributes":{"windows.x":${long}}}]}`).genericAttributes
    expect(attribute!.json).toBe(`["${'\\u003c\\\\ '.repeat(300_000)}",1]`)
  })

  test('keys that are names of object machinery are only unknown keys', () => {
    const read = only('{"__proto__":{"polluted":1},"nodes":[{"name":"n","__proto__":{"type":"dir"},"constructor":1}]}')
    expect(read.type).toBe('unknown')
    expect(({} as { polluted?: number }).polluted).toBeUndefined()
  })
})

describe('reading refuses', () => {
  const n = (fields: string): string => `{"nodes":[{"name":"n",${fields}}]}`
  test.each([
    ['nothing', ''],
    ['no object', '[]'],
    ['no nodes', '{}'],
    ['nodes twice', '{"nodes":[],"nodes":[]}'],
    ['a cut', '{"nodes":[{"name":"a"'],
    ['a cut in a string', '{"nodes":[{"name":"a'],
    ['a cut in an escape', '{"nodes":[{"name":"a\\'],
    ['more after the end', '{"nodes":[]}x'],
    ['a missing comma', '{"nodes":[{"name":"a"}{"name":"b"}]}'],
    ['a comma too many', '{"nodes":[{"name":"a"},]}'],
    ['a node that is no object', '{"nodes":[1]}'],
    ['a node without name', '{"nodes":[{"type":"file"}]}'],
    ['a name twice', '{"nodes":[{"name":"a"},{"name":"b"},{"name":"a"}]}'],
    ['a key twice', n('"uid":1,"uid":2')],
    ['an unquotable name', '{"nodes":[{"name":"a\\\\q"}]}'],
    ['a bare quote in a name', '{"nodes":[{"name":"a\\""}]}'],
    ['a bare newline in a name', '{"nodes":[{"name":"a\\n"}]}'],
    ['a surrogate in a quoted name', '{"nodes":[{"name":"\\\\ud800"}]}'],
    ['a control character', '{"nodes":[{"name":"a\u0001"}]}'],
    ['an invalid escape', '{"nodes":[{"name":"a\\x"}]}'],
    ['a short escape', '{"nodes":[{"name":"a\\u12"}]}'],
    ['a negative number', n('"size":-1')],
    ['a fraction', n('"size":1.5')],
    ['an exponent', n('"size":1e3')],
    ['a leading zero', n('"size":01')],
    ['2^64', n('"size":18446744073709551616')],
    ['a user id of 2^32', n('"uid":4294967296')],
    ['a number in quotes', n('"size":"1"')],
    ['a time that is none', n('"mtime":"yesterday"')],
    ['an empty time', n('"mtime":""')],
    ['a short id', n('"subtree":"abcd"')],
    ['an id in capitals', n(`"subtree":"${'AB'.repeat(32)}"`)],
    ['an id that is null', n('"content":[null]')],
    ['content that is text', n('"content":"x"')],
    ['bad base64', n('"linktarget_raw":"a b"')],
    ['nesting without end', n(`"future":${'['.repeat(100_000)}`)],
    ['a bad number in an unknown key', n('"future":1.')],
    ['a bad word in an unknown key', n('"future":nul')],
  ])('%s', (_, json) => {
    try {
      decodeTree(bytes(json), 'ab'.repeat(32))
      expect.unreachable()
    } catch (error) {
      expect(error).toMatchObject({ code: 'HF_TREE_INVALID', context: { sizeBytes: json.length } })
      expect((error as Error).message).toContain('tree abababab')
    }
  })

  test('any damage to a byte: the result is a tree or a refusal, never anything else', () => {
    const list = [
      node({ name: 'f\xff', content: ['ab'.repeat(32)], user: 'root', linkTarget: 'x' }),
      node({ name: 'g' }),
    ]
    const good = encodeTree(list)
    void fc.assert(
      fc.property(fc.nat(good.length - 1), fc.integer({ min: 0, max: 255 }), fc.boolean(), (at, value, cut) => {
        const bad = good.slice(0, cut ? at : good.length)
        bad[at] = value
        try {
          for (const read of decodeTree(bad).nodes) expect(read.name).not.toBe('')
        } catch (error) {
          expect(error).toMatchObject({ code: 'HF_TREE_INVALID' })
        }
      }),
      { numRuns: 2000 },
    )
  })
})

describe('what two nodes have in common', () => {
  test('each single change makes them different', () => {
    void fc.assert(
      fc.property(nodes, nodes, (a, b) => {
        for (const key of Object.keys(a) as (keyof Node)[]) {
          const changed = { ...a, [key]: b[key] }
          const same = text(encodeTree([{ ...changed, type: 'file' }])) === text(encodeTree([{ ...a, type: 'file' }]))
          if (nodesEqual(a, changed)) continue
          expect(same && key !== 'type').toBe(false)
        }
      }),
    )
  })

  test('the zone of a time and the order of attributes do not matter', () => {
    const a = node({
      extendedAttributes: [
        { name: 'x', value: bytes('1') },
        { name: 'y', value: bytes('2') },
      ],
    })
    const b = { ...a, mtime: { ...a.mtime, offsetSeconds: 0 }, extendedAttributes: a.extendedAttributes.toReversed() }
    expect(nodesEqual(a, b)).toBe(true)
    expect(nodesEqual(a, { ...b, extendedAttributes: [{ name: 'x', value: bytes('1') }] })).toBe(false)
    expect(nodesEqual(a, { ...b, content: [] })).toBe(false)
  })
})

test.each(['', '.', '..', 'a/b', '/', 'a\0b'])('%j is no plain name', (unsafe) => {
  expect(isPlainName(unsafe)).toBe(false)
  expect(isPlainName('..a')).toBe(true)
})
