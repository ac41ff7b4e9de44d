import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { utf8 } from '../../../lib/bytes.ts'
import { lstat } from '../../posix/attributes.ts'
import { textToByteString } from '../../repository/tree/node.ts'
import { patternSources } from './pattern.ts'
import { createSelector, type Selector, type SelectorOptions } from './selector.ts'

let root: string
const warnings: string[] = []

beforeAll(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'selector-')))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

function selector(options: Partial<SelectorOptions>): Selector {
  warnings.length = 0
  return createSelector({ targets: [utf8(root)], warn: (message) => warnings.push(message), ...options })
}

const file = { type: 'file', size: 10, device: 1 }
const directory = { type: 'dir', size: 4096, device: 1 }

/** Writes files below the scratch folder: text, or null for a directory. */
function tree(entries: Record<string, string | null>): void {
  for (const [name, text] of Object.entries(entries)) {
    const path = join(root, name)
    mkdirSync(text === null ? path : join(path, '..'), { recursive: true })
    if (text !== null) writeFileSync(path, text)
  }
}

describe('selection by name', () => {
  test('leaves out what either list of patterns matches', () => {
    const { selectByName } = selector({
      exclude: patternSources(['*.tmp', '!keep.tmp']),
      iexclude: patternSources(['THUMBS.db']),
    })
    expect(selectByName(`${root}/a.tmp`)).toBe(false)
    expect(selectByName(`${root}/keep.tmp`)).toBe(true)
    expect(selectByName(`${root}/A.TMP`)).toBe(true)
    expect(selectByName(`${root}/Thumbs.DB`)).toBe(false)
    expect(selectByName(`${root}/thumbs`)).toBe(true)
  })

  test('keeps an application without what its build brings (S3-03)', () => {
    const { selectByName } = selector({ exclude: patternSources(['node_modules', '/**/app/dist', 'build/', '.next']) })
    for (const path of ['app/node_modules', 'app/node_modules/x/y.js', 'app/dist', 'app/lib/build/a', 'app/.next'])
      expect(selectByName(`${root}/${path}`)).toBe(false)
    for (const path of ['app/src/dist', 'app/builder', 'app/package.json'])
      expect(selectByName(`${root}/${path}`)).toBe(true)
  })

  test('what a target names is in, what lies below it is not safe', () => {
    const { selectByName } = selector({
      targets: [utf8(`${root}/a.tmp`), utf8(`${root}/dir/`)],
      exclude: patternSources(['*.tmp', 'dir']),
    })
    expect(selectByName(`${root}/a.tmp`)).toBe(true)
    expect(selectByName(`${root}/dir`)).toBe(true)
    expect(selectByName(`${root}/dir/x`)).toBe(false)
  })

  test('relative targets are seen from the working directory; `.` and `..` name nothing', () => {
    const cwd = textToByteString(process.cwd())
    const options = { exclude: patternSources(['*']) }
    expect(selector({ ...options, targets: [utf8('src/./x')] }).selectByName(`${cwd}/src/x`)).toBe(true)
    expect(selector({ ...options, targets: [utf8('.')] }).selectByName(cwd)).toBe(false)
    expect(selector({ ...options, targets: [utf8('..')] }).selectByName(join(cwd, '..'))).toBe(false)
    expect(selector({ ...options, targets: [utf8('../x')] }).selectByName(join(cwd, '../x'))).toBe(true)
  })

  test('leaves out our own cache', () => {
    const { selectByName } = selector({ cacheDirectory: utf8(`${root}/cache/`) })
    expect(selectByName(`${root}/cache`)).toBe(false)
    expect(selectByName(`${root}/cache/x/y`)).toBe(false)
    expect(selectByName(`${root}/cache2`)).toBe(true)
  })

  test('takes names that are not UTF-8', () => {
    const { selectByName } = selector({ exclude: [{ text: '*\xff' }] })
    expect(selectByName(`${root}/bad\xff`)).toBe(false)
    expect(selectByName(`${root}/bad\xfe`)).toBe(true)
  })
})

describe('selection by attributes', () => {
  test('leaves out files that are too large', () => {
    const { select } = selector({ excludeLargerThanBytes: 100 })
    expect(select(`${root}/a`, { ...file, size: 100 })).toBe(true)
    expect(select(`${root}/a`, { ...file, size: 101 })).toBe(false)
    expect(select(`${root}/a`, { ...directory, size: 4096 })).toBe(true)
    const named = selector({ targets: [utf8(`${root}/a`)], excludeLargerThanBytes: 100 })
    expect(named.select(`${root}/a`, { ...file, size: 101 })).toBe(true)
  })

  test('leaves out everything beside a tag file, but not the tag file', () => {
    tree({ 'tagged/.nobackup': '', 'tagged/data': '', 'plain/data': '' })
    const { select } = selector({ excludeIfPresent: ['.nobackup'] })
    expect(select(`${root}/tagged`, directory)).toBe(true)
    expect(select(`${root}/tagged/data`, file)).toBe(false)
    expect(select(`${root}/tagged/sub`, directory)).toBe(false)
    expect(select(`${root}/tagged/.nobackup`, file)).toBe(true)
    expect(select(`${root}/plain/data`, file)).toBe(true)
  })

  test('reads the header of a tag file', () => {
    tree({
      'good/tag': 'HEAD: yes, and more',
      'other/tag': 'HEAR: yes',
      'short/tag': 'HE',
      'empty/tag': '',
      'dir/tag/x': '',
    })
    tree({ 'linked/x': '' })
    symlinkSync('../good/tag', join(root, 'linked/tag'))
    const { select } = selector({ excludeIfPresent: ['tag:HEAD: yes'] })
    expect(select(`${root}/good/x`, file)).toBe(false)
    expect(select(`${root}/linked/x`, file)).toBe(false)
    expect(warnings).toEqual([])
    for (const name of ['other', 'short', 'empty', 'dir']) {
      expect(select(`${root}/${name}/x`, file)).toBe(true)
      expect(select(`${root}/${name}/y`, file)).toBe(true)
      expect(warnings.splice(0)).toEqual([expect.stringContaining(`${root}/${name}/tag`)])
    }
  })

  test('caches are known by the signature of their tag', () => {
    tree({
      'cache/CACHEDIR.TAG': 'Signature: 8a477f597d28d172789f06886806bc55\n# made by a test',
      'fake/CACHEDIR.TAG': 'Signature: none',
    })
    const { select } = selector({ excludeCaches: true })
    expect(select(`${root}/cache/x`, file)).toBe(false)
    expect(select(`${root}/cache/CACHEDIR.TAG`, file)).toBe(true)
    expect(select(`${root}/fake/x`, file)).toBe(true)
    expect(warnings).toHaveLength(1)
  })

  test('a tag file that cannot be read excludes nothing and is reported', () => {
    tree({ 'dangling/x': '' })
    symlinkSync('nowhere', join(root, 'dangling/tag'))
    expect(selector({ excludeIfPresent: ['tag:HEAD'] }).select(`${root}/dangling/x`, file)).toBe(true)
    expect(warnings).toEqual([expect.stringMatching(/dangling\/tag.*ENOENT/)])
    expect(selector({ excludeIfPresent: ['tag'] }).select(`${root}/dangling/x`, file)).toBe(false)
  })

  test('a tag without a name is refused', () => {
    expect(() => selector({ excludeIfPresent: [':x'] })).toThrow(
      expect.objectContaining({ code: 'HF_PATTERN_INVALID' }),
    )
    expect(() => selector({ excludeIfPresent: [''] })).toThrow(expect.objectContaining({ code: 'HF_PATTERN_INVALID' }))
  })
})

describe('one file system', () => {
  test('keeps the places other file systems are mounted on, empty', () => {
    const attributes = (path: string, type: string) => ({ ...lstat(utf8(path)), type })
    const { select } = selector({ targets: [utf8('/')], oneFileSystem: true })
    expect(select('/etc', attributes('/etc', 'dir'))).toBe(true)
    expect(select('/etc/passwd', attributes('/etc/passwd', 'file'))).toBe(true)
    expect(select('/proc', attributes('/proc', 'dir'))).toBe(true)
    expect(select('/proc/self', attributes('/proc/self', 'symlink'))).toBe(false)
    expect(select('/proc/sys', attributes('/proc/sys', 'dir'))).toBe(false)
  })

  test('goes by the nearest target above', () => {
    const proc = lstat(utf8('/proc')).device
    const { select } = selector({ targets: [utf8('/'), utf8('/proc')], oneFileSystem: true })
    expect(select('/proc', { ...directory, device: proc })).toBe(true)
    expect(select('/proc/sys', { ...directory, device: proc })).toBe(true)
    expect(select('/proc/sys/x', { ...file, device: proc })).toBe(true)
    expect(select('/proc/sys/x', { ...file, device: BigInt(proc) + 2n ** 60n })).toBe(false)
    expect(select('/etc/x', { ...file, device: proc })).toBe(false)
  })

  test('a target that is not there is an error', () => {
    expect(() => selector({ targets: [utf8(`${root}/none`)], oneFileSystem: true })).toThrow(
      expect.objectContaining({ code: 'HF_PATH_NOT_FOUND' }),
    )
  })
})
