import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { findTreeDifference } from './compare-trees.ts'
import { lacks } from './requirements.ts'
import { scratchFolder } from './test-repository.ts'

/** Each changes one thing in a copy of the tree. */
const changes: Readonly<Record<string, (folder: string) => void>> = {
  'a byte': (folder) => {
    const { mtime } = fs.statSync(join(folder, 'file'))
    fs.writeFileSync(join(folder, 'file'), 'contenT')
    fs.utimesSync(join(folder, 'file'), mtime, mtime)
  },
  'a mode': (folder) => fs.chmodSync(join(folder, 'file'), 0o600),
  'a time': (folder) => fs.utimesSync(join(folder, 'folder'), 1, 2),
  'a target': (folder) => {
    const { mtime } = fs.lstatSync(join(folder, 'link'))
    fs.rmSync(join(folder, 'link'))
    fs.symlinkSync('fale', join(folder, 'link'))
    fs.lutimesSync(join(folder, 'link'), mtime, mtime)
  },
  'a hard link': (folder) => {
    fs.cpSync(join(folder, 'file'), join(folder, 'copy'), { preserveTimestamps: true })
    fs.renameSync(join(folder, 'copy'), join(folder, 'hard'))
  },
  'a missing name': (folder) => fs.rmSync(join(folder, 'folder', 'below')),
  'a new name': (folder) => fs.writeFileSync(join(folder, 'more'), ''),
}

function makeTree(folder: string): void {
  fs.mkdirSync(join(folder, 'folder'), { recursive: true })
  fs.writeFileSync(join(folder, 'file'), 'content')
  fs.writeFileSync(join(folder, 'folder', 'below'), '')
  fs.symlinkSync('file', join(folder, 'link'))
  for (const name of ['file', 'folder/below', 'folder', 'link']) fs.lutimesSync(join(folder, name), 1000, 1000)
  fs.linkSync(join(folder, 'file'), join(folder, 'hard'))
}

test.each(Object.keys(changes))('a difference in %s is found', (change) => {
  using scratch = scratchFolder()
  for (const name of ['a', 'b']) makeTree(scratch.join(name))
  expect(findTreeDifference(scratch.join('a'), scratch.join('b'))).toBeUndefined()
  changes[change]!(scratch.join('b'))
  expect(findTreeDifference(scratch.join('a'), scratch.join('b'))).toBeDefined()
})

test.skipIf(lacks('setfattr'))('a difference in an attribute is found', () => {
  using scratch = scratchFolder()
  for (const name of ['a', 'b']) makeTree(scratch.join(name))
  execFileSync('setfattr', ['-n', 'user.one', '-v', 'x', scratch.join('a', 'file')])
  expect(findTreeDifference(scratch.join('a'), scratch.join('b'))).toMatch(/attributes/)
})
