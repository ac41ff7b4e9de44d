import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { scratchFolder } from '../../../test/support/test-repository.ts'
import { syncPath, syncTree } from './sync-tree.ts'

test('goes through everything but links, and tells what it cannot open', async () => {
  using scratch = scratchFolder()
  mkdirSync(scratch.join('a/b/c'), { recursive: true })
  for (let i = 0; i < 20; i++) writeFileSync(scratch.join(`a/b/file ${i}`), 'x')
  symlinkSync('/nowhere', scratch.join('a/dangling'))
  await syncTree(scratch.path)
  await expect(syncPath(scratch.join('a/dangling'))).rejects.toMatchObject({ code: 'ELOOP' })
  await expect(syncTree(scratch.join('gone'))).rejects.toMatchObject({ code: 'ENOENT' })
  await expect(syncTree(scratch.path, AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough')
})
