import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { lacks } from '../../../test/support/requirements.ts'
import { CHEAP_KDF, PASSWORD, scratchFolder } from '../../../test/support/test-repository.ts'
import { initRepository } from '../repository/repository.ts'
import { openMemoryStorage } from '../storage/memory/memory-storage.ts'
import { executeRestore } from './execute.ts'
import { planRestore } from './plan.ts'
import { describeFolder, recordingObserver, restoreForTest, TreeMaker } from './testing.ts'

async function newMaker(): Promise<TreeMaker> {
  return new TreeMaker(await initRepository(openMemoryStorage(), { password: PASSWORD }, { key: { kdf: CHEAP_KDF } }))
}

const T = '"mtime":"2020-01-01T00:00:00Z","atime":"2020-01-01T00:00:00Z","ctime":"2020-01-01T00:00:00Z","uid":0,"gid":0'
const fileJson = (name: string, more = '"content":[]'): string =>
  `{"name":${JSON.stringify(name)},"type":"file","mode":420,${T},${more}}`

describe('a snapshot somebody has tampered with', () => {
  test.each(['..', '.', '../outside', 'a/b', '/etc/passwd', 'nul\\x00byte'])(
    'cannot write outside the target by the name %s, and nothing is deleted then',
    async (name) => {
      using scratch = scratchFolder()
      const maker = await newMaker()
      const tree = await maker.rawTree(`{"nodes":[${fileJson(name)},${fileJson('zzz')}]}`)
      await maker.writer.flush()
      mkdirSync(scratch.join('target'))
      writeFileSync(scratch.join('target/surplus'), 'x')
      const { errors } = await restoreForTest(maker.repository, tree, scratch.join('target'), { deleteOthers: true })
      expect(errors).toMatchObject([{ item: '/', error: { code: 'HF_TREE_INVALID' } }])
      expect(readdirSync(scratch.path)).toEqual(['target'])
      expect(readdirSync(scratch.join('target')).sort()).toEqual(['surplus', 'zzz'])
    },
  )

  test('cannot make a link and then write through it', async () => {
    using scratch = scratchFolder()
    mkdirSync(scratch.join('outside'))
    const maker = await newMaker()
    const inner = await maker.tree([await maker.file('file', ['evil'])])
    const link = `{"name":"twice","type":"symlink","mode":134218239,${T},"linktarget":"${scratch.join('outside')}","content":null}`
    const folder = `{"name":"twice","type":"dir","mode":2147484141,${T},"content":null,"subtree":"${inner}"}`
    for (const nodes of [`${link},${folder}`, `${folder},${link}`]) {
      const damaged = await maker.rawTree(`{"nodes":[${nodes}]}`)
      const folderJson = `{"name":"inner","type":"dir","mode":2147484141,${T},"content":null,"subtree":"${damaged}"}`
      const tree = await maker.rawTree(`{"nodes":[${folderJson},${fileJson('other')}]}`)
      await maker.writer.flush()
      const { errors } = await restoreForTest(maker.repository, tree, scratch.join('target'))
      expect(errors).toMatchObject([{ item: '/inner', error: { code: 'HF_TREE_INVALID' } }])
      expect(readdirSync(scratch.join('outside'))).toEqual([])
      expect(existsSync(scratch.join('target/other'))).toBe(true)
    }
  })

  test('cannot make files larger than their content', async () => {
    using scratch = scratchFolder()
    const maker = await newMaker()
    const { content } = await maker.file('', ['content'])
    const size = `"size":1152921504606846976,"content":${JSON.stringify([...content!, ...content!])}`
    const tree = await maker.rawTree(`{"nodes":[${fileJson('huge', size)}]}`)
    await maker.writer.flush()
    const { errors } = await restoreForTest(maker.repository, tree, scratch.join('target'))
    expect(errors).toMatchObject([{ item: '/huge', error: { code: 'HF_TREE_INVALID' } }])
    expect(readFileSync(scratch.join('target/huge'), 'utf8')).toBe('contentcontent')
  })

  test('fails by item: unknown types, folders without a list, lost trees and lost content', async () => {
    using scratch = scratchFolder()
    const maker = await newMaker()
    const lost = 'ab'.repeat(32)
    const tree = await maker.rawTree(
      `{"nodes":[${[
        `{"name":"a new type","type":"hologram","mode":420,${T},"content":null}`,
        `{"name":"b no list","type":"dir","mode":2147484141,${T},"content":null}`,
        `{"name":"c lost tree","type":"dir","mode":2147484141,${T},"content":null,"subtree":"${lost}"}`,
        fileJson('d lost content', `"size":5,"content":["${lost}"]`),
        `{"name":"e socket","type":"socket","mode":16777645,${T},"content":null}`,
        fileJson('f fine'),
      ].join()}]}`,
    )
    await maker.writer.flush()
    const { errors, progress } = await restoreForTest(maker.repository, tree, scratch.join('target'))
    expect(errors.map(({ item, error }) => [item, (error as { code?: string }).code])).toEqual([
      ['/a new type', 'HF_UNSUPPORTED'],
      ['/b no list', 'HF_TREE_INVALID'],
      ['/c lost tree', 'HF_BLOB_NOT_FOUND'],
      ['/d lost content', 'HF_BLOB_NOT_FOUND'],
    ])
    expect(progress.errors).toBe(4)
    expect(readdirSync(scratch.join('target')).sort()).toEqual(['b no list', 'c lost tree', 'f fine'])
  })
})

describe('somebody who changes the target during the restore', () => {
  test('cannot lead it out by a link put in the place of a folder', async () => {
    using scratch = scratchFolder()
    const maker = await newMaker()
    const files = await Promise.all(Array.from({ length: 20 }, (_, i) => maker.file(`file ${i}`, [`content ${i}`])))
    const tree = await maker.finish([await maker.directory('folder', files)])
    const target = scratch.join('target')
    mkdirSync(join(target, 'folder'), { recursive: true })
    mkdirSync(scratch.join('outside'))
    const plan = await planRestore(maker.repository, tree, { target })
    rmSync(join(target, 'folder'), { recursive: true })
    symlinkSync(scratch.join('outside'), join(target, 'folder'))
    const observer = recordingObserver()
    await executeRestore(maker.repository, plan, { observer })
    expect(readdirSync(scratch.join('outside'))).toEqual([])
    expect(observer.errors).toEqual([])
    expect(readdirSync(join(target, 'folder'))).toHaveLength(20)
  })

  test('is noticed when the target itself is another folder', async () => {
    using scratch = scratchFolder()
    const maker = await newMaker()
    const tree = await maker.finish([await maker.file('file', ['content'])])
    mkdirSync(scratch.join('target'))
    writeFileSync(scratch.join('target/file'), 'old content')
    const observer = recordingObserver()
    const plan = await planRestore(maker.repository, tree, { target: scratch.join('target') })
    renameSync(scratch.join('target'), scratch.join('moved'))
    // What was to be updated is not there: an error of that file, and nothing is written elsewhere.
    await executeRestore(maker.repository, plan, { observer })
    expect(observer.errors).toMatchObject([{ item: '/file' }])
    expect(readFileSync(scratch.join('moved/file'), 'utf8')).toBe('old content')
  })
})

describe.skipIf(lacks('root'))('without the rights of the superuser', () => {
  /** Runs `work` as a user without rights, in a folder of theirs. */
  async function asNobody(work: (folder: string) => Promise<void>): Promise<void> {
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-nobody-'))
    chownSync(folder, 65_534, 65_534)
    try {
      process.setegid!(65_534)
      process.seteuid!(65_534)
      await work(folder)
    } finally {
      process.seteuid!(0)
      process.setegid!(0)
      rmSync(folder, { recursive: true, force: true })
    }
  }

  test('owners stay ours, which is no error, and all else is restored', async () => {
    const maker = await newMaker()
    const tree = await maker.finish([
      await maker.directory('closed', [await maker.file('read-only', ['x'], { mode: 0o400, uid: 4711, gid: 4711 })], {
        mode: 0x8000_0000 + 0o500,
        uid: 4711,
      }),
      maker.symlink('link', 'x', { uid: 4711 }),
    ])
    await asNobody(async (folder) => {
      for (const round of ['new', 'again']) {
        const { errors } = await restoreForTest(maker.repository, tree, `${folder}/out`)
        expect([round, errors]).toEqual([round, []])
        const facts = describeFolder(`${folder}/out`)
        expect(facts['/closed']).toMatchObject({ mode: '40500', uid: 65_534, mtime: 1_700_000_000_123_456_789n })
        expect(facts['/closed/read-only']).toMatchObject({ mode: '100400', uid: 65_534, content: 'x' })
      }
      // Something else is in the place of a read-only file in a read-only folder.
      mkdirSync(`${folder}/other/closed`, { recursive: true })
      writeFileSync(`${folder}/other/closed/read-only`, 'old', { mode: 0o400 })
      chmodSync(`${folder}/other/closed`, 0o500)
      const { errors } = await restoreForTest(maker.repository, tree, `${folder}/other`)
      expect(errors).toEqual([])
      expect(readFileSync(`${folder}/other/closed/read-only`, 'utf8')).toBe('x')
    })
  })

  test('what may not be written is named, and the rest is restored', async () => {
    const maker = await newMaker()
    const tree = await maker.finish([
      await maker.directory('theirs', [await maker.file('file', ['x'])]),
      await maker.file('file', ['x']),
    ])
    await asNobody(async (folder) => {
      process.seteuid!(0)
      mkdirSync(`${folder}/theirs`, { mode: 0o755 })
      process.seteuid!(65_534)
      const { errors } = await restoreForTest(maker.repository, tree, folder)
      expect(errors.map(({ item, message }) => [item, message.slice(0, 6)])).toEqual([['/theirs/file', 'EACCES']])
      expect(statSync(`${folder}/file`).size).toBe(1)
    })
  })
})
