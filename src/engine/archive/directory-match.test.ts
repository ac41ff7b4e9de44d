import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { backUp, newRepository, scratchFolder } from '../../../test/support/test-repository.ts'
import { workingFolder } from '../../../test/support/working-folder.ts'
import { fromUtf8, utf8 } from '../../lib/bytes.ts'
import { systemClock } from '../../lib/clock.ts'
import { systemErrorCode } from '../../lib/errors.ts'
import { readDirectory } from '../posix/directory-reader.ts'
import { TreeLoader } from '../repository/tree-loader.ts'
import type { BackupObserver } from './backup-observer.ts'
import { type MatchRules, matchDirectory } from './directory-match.ts'

const names = ['a', 'b', 'b.txt', 'ba', 'c d', 'e\nf', 'g"h', 'i\\u0041', '<&>', 'ä', 'z']
const folders = ['.', 'sub', 'sub/deep']

/** What may happen to a name in a folder; `other` is another name or some content. */
const changes = {
  write: (path: string, other: string) => writeFileSync(path, other),
  append: (path: string) => appendFileSync(path, '!'),
  remove: (path: string) => rmSync(path, { recursive: true }),
  rename: (path: string, other: string) => renameSync(path, join(path, '..', other)),
  chmod: (path: string) => chmodSync(path, 0o640),
  touch: (path: string) => utimesSync(path, 1_000_000_000, 1_000_000_000),
  link: (path: string, other: string) => symlinkSync(other, path),
  mkdir: (path: string, other: string) => {
    mkdirSync(path)
    writeFileSync(join(path, 'inside'), other)
  },
} as const

const impossible = ['ENOENT', 'EEXIST', 'EISDIR', 'ENOTDIR', 'ENOTEMPTY', 'EINVAL']

type Action = readonly [keyof typeof changes, folder: string, name: string, other: string]

/** Does what can be done. */
function change(root: string, actions: readonly Action[]): void {
  for (const [action, folder, name, other] of actions)
    try {
      changes[action](join(root, folder, name), other)
    } catch (error) {
      if (!impossible.includes(systemErrorCode(error) ?? '')) throw error
    }
}

const actions = fc.tuple(
  fc.constantFrom(...(Object.keys(changes) as (keyof typeof changes)[])),
  fc.constantFrom(...folders),
  fc.constantFrom(...names),
  fc.constantFrom(...names),
)

/** Hears of every item, for which every entry has to be looked at by itself. */
const thorough: BackupObserver = { onError: () => expect.fail('an error'), onItem: () => undefined }
const quick: BackupObserver = { onError: () => expect.fail('an error') }

describe('a directory that is compared with its tree', () => {
  test('gives the tree that a look at every entry gives, whatever was changed', async () => {
    using scratch = scratchFolder()
    using _ = workingFolder(scratch.path)
    const repository = await newRepository(scratch.join('repository'))
    let round = 0
    await fc.assert(
      fc.asyncProperty(
        fc.array(actions, { maxLength: 12 }),
        fc.array(actions, { maxLength: 5 }),
        async (first, second) => {
          const root = `data${round++}`
          mkdirSync(join(root, 'sub/deep'), { recursive: true })
          for (const folder of folders) for (const name of names.slice(3)) writeFileSync(join(root, folder, name), name)
          change(root, first)
          // Longer ago than the files' times can tell apart: else all are read again.
          await systemClock.sleep(45)
          const { snapshot: parent } = await backUp(repository, root, { observer: quick })
          change(root, second)
          const slow = await backUp(repository, root, { parent, observer: thorough })
          const fast = await backUp(repository, root, { parent, observer: quick })
          expect(fast.tree).toBe(slow.tree)
          const { filesNew, filesChanged, filesUnmodified, dirsChanged, dirsUnmodified, totalBytesProcessed } =
            slow.summary
          expect(fast.summary).toMatchObject({
            filesNew,
            filesChanged,
            filesUnmodified,
            dirsChanged,
            dirsUnmodified,
            totalBytesProcessed,
          })
          if (second.length === 0) expect(fast.tree).toBe(parent!.tree)
          rmSync(root, { recursive: true })
        },
      ),
      { numRuns: 30 },
    )
  })

  describe('with one file', () => {
    const rules: MatchRules = {
      selects: () => true,
      wasTouchedDuring: () => false,
      isSame: () => expect.fail('asked about a file'),
      hasBlob: () => true,
    }

    /** The tree of a folder with one file, and that folder's listing. */
    async function folder(scratch: ReturnType<typeof scratchFolder>, name: string) {
      using _ = workingFolder(scratch.path)
      mkdirSync('data')
      writeFileSync(join('data', name), 'content')
      const repository = await newRepository(scratch.join('repository'))
      const { tree: root } = await backUp(repository, 'data')
      const loader = new TreeLoader(repository)
      const [{ subtree } = { subtree: undefined }] = (await loader.load(root)).nodes
      const tree = (await loader.loadBytes(subtree!)).slice()
      loader.close()
      return { tree, listing: readDirectory(utf8('data')) }
    }

    test('takes it over, as long as nothing about it is different', async () => {
      using scratch = scratchFolder()
      const { tree, listing } = await folder(scratch, 'a')
      const kept = { hasLost: false, files: 1, bytes: 7 }
      expect(matchDirectory(tree, listing, rules)).toMatchObject({ ...kept, steps: [{ from: 10 }] })
      const text = fromUtf8(tree)
      const visited = { files: 0, steps: [{ entry: 0, previous: { from: 10 } }] }
      for (const field of ['mode', 'uid', 'gid', 'inode', 'device_id', 'size', 'links']) {
        const changed = text.replace(
          new RegExp(`"${field}":(\\d)`),
          (_, digit) => `"${field}":${(Number(digit) % 8) + 1}`,
        )
        expect(changed, field).not.toBe(text)
        expect(matchDirectory(utf8(changed), listing, rules), field).toMatchObject(visited)
      }
      for (const field of ['mtime', 'atime', 'ctime']) {
        const changed = text.replace(new RegExp(`"${field}":"2`), `"${field}":"1`)
        expect(matchDirectory(utf8(changed), listing, rules), field).toMatchObject(visited)
      }
      for (const changed of [
        text.replace('"user":"', '"user":"x'),
        text.replace('"group":"', '"group":"x'),
        text.replace('"content":[', '"error":"unreadable","content":['),
        text.replace(/"content":\[.*?\]/, '"content":null'),
        text.replace('"type":"file"', '"type":"fifo"'),
      ])
        expect(matchDirectory(utf8(changed), listing, rules)).toMatchObject(visited)
      expect(matchDirectory(tree, listing, { ...rules, hasBlob: () => false })).toMatchObject(visited)
      expect(matchDirectory(tree, listing, { ...rules, wasTouchedDuring: () => true })).toMatchObject(visited)
      expect(matchDirectory(tree, listing, { ...rules, selects: () => false })).toEqual({
        ...{ steps: [], hasLost: true, files: 0, bytes: 0 },
      })
    })

    test('knows names by what they mean, not by how they are written', async () => {
      using scratch = scratchFolder()
      const { tree, listing } = await folder(scratch, String.raw`\u0041`)
      expect(matchDirectory(tree, listing, rules)).toMatchObject({ steps: [{ entry: 0, previous: {} }] })
      // The same letters as in the folder, which mean the name "A" here.
      const other = utf8(fromUtf8(tree).replace(String.raw`\\\\u0041`, String.raw`\u0041`))
      expect(matchDirectory(other, listing, rules)).toMatchObject({
        ...{ hasLost: true, files: 0, steps: [{ entry: 0, previous: undefined }] },
      })
    })

    test('leaves a tree that is none to those who say why', async () => {
      using scratch = scratchFolder()
      const { tree, listing } = await folder(scratch, 'a')
      for (let length = 0; length < tree.length - 1; length++)
        expect(matchDirectory(tree.subarray(0, length), listing, rules)).toBeUndefined()
      expect(matchDirectory(utf8('{"nodes":null}'), listing, rules)).toBeUndefined()
    })
  })
})
