import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readAttributes } from '../../src/engine/posix/extended-attributes.ts'
import { initRepository } from '../../src/engine/repository/repository.ts'
import { encodeTree, sortNodes } from '../../src/engine/repository/tree/encode-tree.ts'
import { nodeTypeOf, toGoMode } from '../../src/engine/repository/tree/mode.ts'
import { createNode, type Node, uint64 } from '../../src/engine/repository/tree/node.ts'
import { openLocalStorage } from '../../src/engine/storage/local/local-storage.ts'
import { localTimestamp } from '../../src/lib/go-time.ts'
import { makeOddFolder } from '../support/odd-folder.ts'
import { lacks } from '../support/requirements.ts'
import { readTreeBlobs, resticPrograms, resticVersion, runRestic } from '../support/restic-trees.ts'

const scratch = fs.mkdtempSync(join(tmpdir(), 'compat-trees-'))
const folder = join(scratch, 'odd')

afterAll(() => fs.rmSync(scratch, { recursive: true, force: true }))

describe.skipIf(lacks('restic', 'root', 'setfattr')).each(resticPrograms)('%s and we', (program) => {
  beforeAll(() => {
    if (!fs.existsSync(folder)) makeOddFolder(folder)
  })

  test('make the same trees of the same folder', async () => {
    const repository = join(scratch, `repository-${resticPrograms.indexOf(program)}`)
    const key = { kdf: { N: 1024, r: 8, p: 1 } }
    await initRepository(openLocalStorage(repository), { password: 'golden' }, { key })
    runRestic(program, repository, ['backup', '.'], folder)
    const trees = [...readTreeBlobs(program, repository).values()].map((tree) => tree.toString('latin1'))
    expect(trees.length).toBe(2)
    // Before 0.16 the raw bytes of a link target were lost.
    const raw = !resticVersion(program).startsWith('0.14')
    const ours = Buffer.from(encodeTree(readNodes(folder))).toString('latin1')
    const comparable = (text: string): string => (raw ? text : text.replace(/,"linktarget_raw":"[^"]*"/g, ''))
    const lines = (text: string): string[] => text.split(/(?=\{"name")/)
    expect(lines(comparable(ours))).toEqual(lines(trees[0]!))
  })
})

/** The entries of a folder as a backup of it records them, read with nothing but lstat. */
function readNodes(path: string): Node[] {
  const names = fs.readdirSync(path, { encoding: 'buffer' }) as Buffer[]
  return sortNodes(
    names.map((name) => {
      const at = Buffer.concat([Buffer.from(`${path}/`), name])
      const stat = fs.lstatSync(at, { bigint: true })
      const type = nodeTypeOf(Number(stat.mode))
      const special = type === 'dev' || type === 'chardev'
      const mtime = localTimestamp(stat.mtimeNs)
      const content = type === 'file' ? fs.readFileSync(at) : undefined
      return createNode({
        name: name.toString('latin1'),
        type,
        mode: toGoMode(Number(stat.mode)),
        mtime,
        atime: mtime,
        ctime: localTimestamp(stat.ctimeNs),
        uid: Number(stat.uid),
        gid: Number(stat.gid),
        user: stat.uid === 0n ? 'root' : '',
        group: stat.gid === 0n ? 'root' : '',
        inode: uint64(stat.ino),
        deviceId: uint64(stat.dev),
        size: content?.length ?? 0,
        links: type === 'file' || type === 'symlink' || special ? uint64(stat.nlink) : 0,
        linkTarget: type === 'symlink' ? fs.readlinkSync(at, { encoding: 'buffer' }).toString('latin1') : '',
        extendedAttributes: type === 'file' ? readAttributes(at) : [],
        device: special ? uint64(stat.rdev) : 0,
        content: content === undefined ? null : content.length === 0 ? [] : [hash(content)],
        subtree: type === 'dir' ? hash(encodeTree(readNodes(at.toString('latin1')))) : undefined,
      })
    }),
  )
}

const hash = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
