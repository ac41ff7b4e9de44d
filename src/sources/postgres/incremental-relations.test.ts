import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { noise } from '../../../test/support/storage-victims.ts'
import { contentOf, nodesOf } from '../../../test/support/stored-nodes.ts'
import { memoryRepository, newRepository, plainOptions, scratchFolder } from '../../../test/support/test-repository.ts'
import { backupEntries } from '../../engine/archive/entries-backup.ts'
import type { EntryAttributes } from '../../engine/archive/entry-tree.ts'
import { advance, checksumText, INITIAL_REGISTER } from '../../engine/kernels/crc32c.ts'
import type { Repository } from '../../engine/repository/repository.ts'
import { IncrementalBase } from './incremental-base.ts'
import { type PatchedFile, RelationPatcher } from './incremental-relations.ts'
import type { PostgresManifest } from './manifest.ts'

const PAGE = 8192
const BLOCK = 4 * PAGE
const attributes: EntryAttributes = {
  mode: 0o600,
  mtime: { seconds: 1_700_000_000, nanoseconds: 0, offsetSeconds: 0 },
  uid: 70,
  gid: 70,
}

/** How long a file was, how long it is, and which pages came. */
interface Change {
  readonly before: number
  readonly cutTo: number
  readonly pages: readonly number[]
}

const changes: readonly Change[] = [
  { before: 8, cutTo: 8, pages: [] },
  { before: 0, cutTo: 0, pages: [] },
  { before: 8, cutTo: 8, pages: [0] },
  { before: 8, cutTo: 8, pages: [7] },
  { before: 9, cutTo: 9, pages: [3, 4, 8] },
  { before: 9, cutTo: 7, pages: [2] },
  { before: 9, cutTo: 8, pages: [] },
  { before: 9, cutTo: 0, pages: [] },
  { before: 30, cutTo: 5, pages: [4] },
  { before: 5, cutTo: 5, pages: [5, 6] },
  { before: 5, cutTo: 12, pages: [] },
  { before: 0, cutTo: 0, pages: [0, 1, 2, 3, 4] },
  { before: 3, cutTo: 3, pages: [17] },
  { before: 700, cutTo: 700, pages: Array.from({ length: 350 }, (_, i) => 2 * i) },
]

/** A page that is nowhere else. */
function page(seed: string): Buffer {
  const bytes = Buffer.from(noise(1, PAGE))
  createHash('sha256').update(seed).digest().copy(bytes)
  return bytes
}

const before = (file: number, { before: pages }: Change): Buffer =>
  Buffer.concat(Array.from({ length: pages }, (_, i) => page(`${file} ${i} before`)))

/** What pg_combinebackup does: the earlier pages, or zeros, and over them what came. */
function combined(file: number, change: Change): Buffer {
  const pages = Math.max(change.cutTo, ...change.pages.map((n) => n + 1))
  const bytes = Buffer.alloc(pages * PAGE)
  before(file, change).copy(bytes)
  for (const n of change.pages) page(`${file} ${n} after`).copy(bytes, n * PAGE)
  return bytes
}

async function* incremental(file: number, { cutTo, pages }: Change): AsyncGenerator<Uint8Array> {
  const header = Buffer.alloc(12 + 4 * pages.length)
  header.writeUInt32LE(0xd3ae1f0d, 0)
  header.writeUInt32LE(pages.length, 4)
  header.writeUInt32LE(cutTo, 8)
  for (const [i, n] of pages.entries()) header.writeUInt32LE(n, 12 + 4 * i)
  yield header
  if (pages.length === 0) return
  yield Buffer.alloc((PAGE - (header.length % PAGE)) % PAGE)
  for (const n of pages) yield page(`${file} ${n} after`)
}

const sizeOf = ({ pages }: Change): number =>
  pages.length === 0 ? 12 : Math.ceil((12 + 4 * pages.length) / PAGE) * PAGE + pages.length * PAGE

const crc = (bytes: Uint8Array): number => ~advance(INITIAL_REGISTER, bytes) >>> 0

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

/** A snapshot with the files as they were, and the manifests that go with it. */
async function earlier(repository: Repository) {
  const lines = changes.map((change, i) => {
    const bytes = before(i, change)
    const sum = checksumText(crc(bytes))
    return `{ "Path": "base/5/${i}", "Size": ${bytes.length}, "Checksum-Algorithm": "CRC32C", "Checksum": "${sum}" }`
  })
  const body = `{ "PostgreSQL-Backup-Manifest-Version": 2,\n"System-Identifier": 1,\n"Files": [\n${lines.join(',\n')}\n],\n"WAL-Ranges": [],\n`
  const manifest = Buffer.from(`${body}"Manifest-Checksum": "${createHash('sha256').update(body).digest('hex')}"}\n`)
  const { snapshot } = await backupEntries(repository, {
    ...plainOptions(repository),
    paths: ['/shop'],
    write: async (entries) => {
      const rule = { kind: 'blocks', blockBytes: BLOCK } as const
      for (const [i, change] of changes.entries())
        await entries.file(`/shop/data/base/5/${i}`, attributes, once(before(i, change)), rule)
      for (const place of ['/shop/data/backup_manifest', '/shop/.holdfast/backup_manifest'])
        await entries.file(place, attributes, once(manifest), { kind: 'content' })
    },
  })
  return snapshot!
}

test.each(['in memory', 'on disk'])(
  'files of a repository %s come out as pg_combinebackup makes them, and their checksums are known',
  async (where) => {
    using scratch = scratchFolder()
    const repository =
      where === 'in memory' ? await memoryRepository() : await newRepository(scratch.join('repository'))
    const snapshot = await earlier(repository)
    using base = await IncrementalBase.open(repository, snapshot, {
      source: 'shop',
      blockBytes: BLOCK,
    } as PostgresManifest)
    const patcher = new RelationPatcher(base, { pageBytes: PAGE, segmentBytes: 1024 ** 3 })
    const { tree, summary } = await backupEntries(repository, {
      ...plainOptions(repository),
      parent: snapshot,
      paths: ['/shop'],
      write: async (entries) => {
        const files: PatchedFile[] = []
        for (const [i, change] of changes.entries()) {
          const member = { path: `base/5/${i}`, size: sizeOf(change), content: incremental(i, change) }
          const file = await patcher.patch(entries, `/shop/data/base/5/${i}`, attributes, member)
          const expected = combined(i, change)
          expect(file.size, `file ${i}`).toBe(expected.length)
          files.push(file)
        }
        await patcher.finish()
        for (const [i, change] of changes.entries())
          expect(files[i]!.checksum(), `file ${i}`).toBe(crc(combined(i, change)))
      },
    })
    const nodes = await nodesOf(repository, tree)
    for (const [i, change] of changes.entries()) {
      const node = nodes.get(`/shop/data/base/5/${i}`)!
      expect((await contentOf(repository, node)).equals(combined(i, change)), `file ${i}`).toBe(true)
      // Cut as a full backup cuts it.
      const cut = combined(i, change)
      const blocks = Array.from({ length: Math.ceil(cut.length / BLOCK) }, (_, n) =>
        createHash('sha256')
          .update(cut.subarray(n * BLOCK, (n + 1) * BLOCK))
          .digest('hex'),
      )
      expect(node.content, `file ${i}`).toEqual(blocks)
    }
    expect(summary.filesUnmodified).toBe(2)
    const absent = { path: 'base/5/99', size: 12, content: incremental(99, { before: 0, cutTo: 1, pages: [] }) }
    await backupEntries(repository, {
      ...plainOptions(repository),
      paths: ['/shop'],
      write: (entries) =>
        expect(patcher.patch(entries, '/shop/data/base/5/99', attributes, absent)).rejects.toMatchObject({
          code: 'HF_DATA_DAMAGED',
          message: expect.stringContaining('base/5/99 is not in it'),
        }),
    })
  },
)
