import { afterAll, beforeAll, expect, test, vi } from 'vitest'

// Before anything is loaded: which calls are used is decided at the first one, in every thread.
vi.stubEnv('HOLDFAST_NATIVE', 'off')
const { lstatSync, mkdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } = await import('node:fs')
const { CHEAP_KDF, PASSWORD, scratchFolder } = await import('../../../test/support/test-repository.ts')
const { randomBytes } = await import('../../lib/random.ts')
const { initRepository } = await import('../repository/repository.ts')
const { openMemoryStorage } = await import('../storage/memory/memory-storage.ts')
const { recordingObserver, restoreForTest, TreeMaker } = await import('./testing.ts')
const { executeRestore } = await import('./execute.ts')
const { planRestore } = await import('./plan.ts')

const scratch = scratchFolder()
beforeAll(() => mkdirSync(scratch.join('outside')))
afterAll(() => {
  scratch[Symbol.dispose]()
  vi.unstubAllEnvs()
})

test('restores without the native library, less what Node has no call for, and says so', async () => {
  const repository = await initRepository(openMemoryStorage(), { password: PASSWORD }, { key: { kdf: CHEAP_KDF } })
  const maker = new TreeMaker(repository)
  const content = [randomBytes(2_000_000), randomBytes(3000)]
  const first = await maker.file('first', content, { links: 2, inode: 7, deviceId: 8, mode: 0o640 })
  const tree = await maker.finish([
    await maker.directory('folder', [first, { ...first, name: 'second' }]),
    maker.symlink('link', 'anywhere'),
    maker.node('fifo', 'fifo', { mode: 0x200_0000 + 0o600 }),
    await maker.file('labelled', ['x'], { extendedAttributes: [{ name: 'user.a', value: Buffer.from('b') }] }),
  ])
  symlinkSync(scratch.join('outside'), scratch.join('out'))
  const target = scratch.join('target')
  mkdirSync(target)
  symlinkSync(scratch.join('outside'), `${target}/folder`)
  const observer = recordingObserver()
  const warnings: string[] = []
  const plan = await planRestore(repository, tree, { target })
  await executeRestore(repository, plan, { observer: { ...observer, onWarning: (message) => warnings.push(message) } })
  expect(observer.errors).toMatchObject([{ item: '/fifo', error: { code: 'HF_UNSUPPORTED' } }])
  expect(warnings.join()).toContain('extended attributes')
  expect(readFileSync(`${target}/folder/second`).equals(Buffer.concat(content))).toBe(true)
  expect(lstatSync(`${target}/folder/second`).ino).toBe(lstatSync(`${target}/folder/first`).ino)
  expect(lstatSync(`${target}/folder/first`).mode & 0o777).toBe(0o640)
  expect(Math.abs(lstatSync(`${target}/folder/first`).mtimeMs - 1_700_000_000_123.457)).toBeLessThan(0.01)
  expect(readlinkSync(`${target}/link`)).toBe('anywhere')
  expect(readFileSync(`${target}/labelled`, 'utf8')).toBe('x')
  writeFileSync(`${target}/folder/first`, 'spoilt')
  const again = await restoreForTest(repository, tree, target)
  expect(again.errors.map(({ item }) => item)).toEqual(['/fifo'])
  expect(readFileSync(`${target}/folder/first`).equals(Buffer.concat(content))).toBe(true)
})
