import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { encodeTree, sortNodes } from '../../src/engine/repository/tree/encode-tree.ts'
import { nodeTypeOf, toGoMode } from '../../src/engine/repository/tree/mode.ts'
import { createNode, type Node, uint64 } from '../../src/engine/repository/tree/node.ts'
import { localTimestamp } from '../../src/lib/go-time.ts'
import { makeOddFolder } from '../support/odd-folder.ts'
import { findRestic, readTreeBlobs, runRestic } from '../support/restic-trees.ts'

// The programs to compare with: restic on the PATH and, when it is set, the one RESTIC_NEWEST names.
const programs = ['restic', process.env.RESTIC_NEWEST ?? 'restic-newest'].filter((p) => findRestic(p) !== undefined)
const scratch = fs.mkdtempSync(join(tmpdir(), 'compat-trees-'))
const folder = join(scratch, 'odd')
const possible = process.getuid?.() === 0 && programs.length > 0

afterAll(() => fs.rmSync(scratch, { recursive: true, force: true }))

describe.skipIf(!possible).each(programs)('%s and we', (program) => {
  beforeAll(() => {
    if (!fs.existsSync(folder)) makeOddFolder(folder)
  })

  test('make the same trees of the same folder', () => {
    const repository = join(scratch, `repository-${programs.indexOf(program)}`)
    runRestic(program, repository, ['init'])
    runRestic(program, repository, ['backup', '.'], folder)
    const trees = [...readTreeBlobs(program, repository).values()].map((tree) => tree.toString('latin1'))
    expect(trees.length).toBe(2)
    // Before 0.16 the raw bytes of a link target were lost.
    const raw = !findRestic(program)!.startsWith('0.14')
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

function readAttributes(path: Buffer): Node['extendedAttributes'] {
  // Only this file has any.
  if (!path.toString('latin1').endsWith('/plain.txt') && !path.toString('latin1').endsWith('/hard link')) return []
  const program =
    'import os, sys, json; p = sys.argv[1]; print(json.dumps([[n, os.getxattr(p, n).hex()] for n in os.listxattr(p)]))'
  const listed = JSON.parse(
    execFileSync('python3', ['-c', program, path.toString('latin1')], { encoding: 'utf8' }),
  ) as [string, string][]
  return listed.map(([name, value]) => ({ name, value: Buffer.from(value, 'hex') }))
}
