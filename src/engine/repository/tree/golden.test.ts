import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { OddFolder } from '../../../../test/support/odd-folder.ts'
import { decodeTree } from './decode-tree.ts'
import { encodeTree } from './encode-tree.ts'
import type { Node } from './node.ts'

// Recorded by scripts/record-golden-trees.ts: trees of a folder of odd files, and what the system said about them.
const golden = join(import.meta.dirname, '../../../../test/golden/trees')
const lines = (tree: Uint8Array): string[] =>
  Buffer.from(tree)
    .toString('latin1')
    .split(/(?=\{"name")/)
const hex = (bytes: string): string => Buffer.from(bytes, 'latin1').toString('hex')

describe.each(readdirSync(golden))('trees written by restic %s', (version) => {
  const folder = join(golden, version)
  const expected = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as OddFolder
  const trees = readdirSync(folder)
    .filter((name) => name !== 'expected.json')
    .map((name) => ({ id: name.replace('.json', ''), bytes: readFileSync(join(folder, name)) }))
  const nodes = trees.flatMap(({ bytes }) => decodeTree(bytes).nodes)
  const find = (name: string): Node => nodes.find((node) => node.name === name)!

  test.each(trees)('$id is the same bytes after reading and writing', ({ id, bytes }) => {
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(id)
    // Before 0.16 restic lost link targets that are not UTF-8: it wrote an escape, which no reader can tell from the character itself.
    const stored = bytes.toString('latin1')
    const kept = stored.includes('linktarget_raw') ? stored : stored.replaceAll('\\ufffd', '\u00ef\u00bf\u00bd')
    expect(lines(encodeTree(decodeTree(bytes, id).nodes))).toEqual(lines(Buffer.from(kept, 'latin1')))
  })

  test('names are the bytes the file system has', () => {
    expect(nodes.map((node) => hex(node.name))).toEqual(expected.names)
  })

  test('extended attributes are the bytes that were set', () => {
    for (const [name, attributes] of Object.entries(expected.attributes)) {
      const read = find(name).extendedAttributes.map((a) => [a.name, Buffer.from(a.value!).toString('hex')])
      expect(Object.fromEntries(read)).toEqual(attributes)
    }
  })

  test('devices, links and owners', () => {
    expect(find('block')).toMatchObject({ type: 'dev', mode: 67_109_280, device: 1_050_412, content: null })
    expect(find('char')).toMatchObject({ type: 'chardev', mode: 69_206_454, device: 259 })
    expect(find('fifo')).toMatchObject({ type: 'fifo', content: null })
    expect(find('hard link').inode).toBe(find('plain.txt').inode)
    expect(find('hard link').links).toBe(2)
    expect(find('foreign-owner')).toMatchObject({ uid: 4_000_000_000, gid: 4_000_000_001, user: '', group: '' })
    expect(find('empty').content).toEqual([])
    expect(find('dir-empty').subtree).toBe('ac08ce34ba4f8123618661bef2425f7028ffb9ac740578a3ee88684d2523fee8')
  })

  test('link targets are the bytes the links have', () => {
    for (const [name, target] of Object.entries(expected.linkTargets)) {
      // Before 0.16 restic lost targets that are not UTF-8.
      if (name === 'link-invalid' && version.startsWith('0.14')) continue
      expect(hex(find(name).linkTarget)).toBe(target)
    }
  })
})
