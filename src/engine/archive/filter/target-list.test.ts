import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { textToByteString } from '../../repository/tree/node.ts'
import { toByteString } from './byte-string.ts'
import { expandGlob } from './glob.ts'
import { readTargetLists, type TargetListOptions } from './target-list.ts'

let root: string

beforeAll(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'targets-')))
  for (const directory of ['a/one', 'a/two', 'b[1]', '.hidden']) mkdirSync(join(root, directory), { recursive: true })
  for (const file of ['a/one/x.txt', 'a/two/x.txt', 'a/two/y.txt', 'b[1]/z', '.hidden/w', 'a/file', 'ünï', '*'])
    writeFileSync(join(root, file), '')
  writeFileSync(Buffer.concat([Buffer.from(`${root}/bad`), Buffer.of(0xff)]), '')
})
afterAll(() => rmSync(root, { recursive: true }))

async function* chunks(...parts: (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield Buffer.from(part)
}

async function read(options: Partial<TargetListOptions>): Promise<{ targets: string[]; warnings: string[] }> {
  const warnings: string[] = []
  const targets = await readTargetLists({ stdin: chunks(), warn: (message) => warnings.push(message), ...options })
  return { targets: targets.map((target) => toByteString(target).replaceAll(root, 'ROOT')), warnings }
}

function listFile(content: string | Uint8Array): string {
  const path = join(root, 'list')
  writeFileSync(path, content)
  return path
}

describe('glob', () => {
  test.each([
    ['a/*/x.txt', ['a/one/x.txt', 'a/two/x.txt']],
    ['a/two/*', ['a/two/x.txt', 'a/two/y.txt']],
    ['a/t??/[^x]*', ['a/two/y.txt']],
    ['*/file', ['a/file']],
    ['*', ['*', '.hidden', 'a', 'b[1]', 'bad\xff', textToByteString('ünï')]],
    ['\\*', ['*']],
    ['b\\[1]/z', ['b[1]/z']],
    ['b[[]1]', ['b[1]']],
    ['?n?', [textToByteString('ünï')]],
    ['bad?', ['bad\xff']],
    ['a/./tw*', ['a/two']],
    ['a/one/x.txt', ['a/one/x.txt']],
    ['a//one', ['a//one']],
    ['none', []],
    ['none*/x', []],
    ['a/file/*', []],
    // As Go, which looks for entries with an empty name.
    ['a/t*/', []],
  ])('%s', (pattern, expected) => {
    const found = expandGlob({ text: `${root}/${textToByteString(pattern)}` })
    expect(found.map((path) => path.slice(root.length + 1)).filter((path) => path !== 'list')).toEqual(expected)
  })

  test('relative patterns give relative paths', () => {
    expect(expandGlob({ text: 'src/engine/archive/filter/glob.*' })).toEqual(['src/engine/archive/filter/glob.ts'])
    expect(expandGlob({ text: './pack*.json' })).toEqual(['package-lock.json', 'package.json'])
  })
})

describe('lists of targets', () => {
  test('of patterns', async () => {
    const list = listFile(`# comment\n  ${root}/a/*/x.txt \n\n${root}/nothing*\n${root}/ünï`)
    const { targets, warnings } = await read({ filesFrom: [list] })
    expect(targets).toEqual(['ROOT/a/one/x.txt', 'ROOT/a/two/x.txt', textToByteString('ROOT/ünï')])
    expect(warnings).toEqual([expect.stringContaining('nothing*')])
  })

  test('of patterns with a mistake: file, line and column are named', async () => {
    const list = listFile('ok\n ab/[')
    await expect(read({ filesFrom: [list] })).rejects.toMatchObject({
      code: 'HF_PATTERN_INVALID',
      message: expect.stringContaining('list:2:5'),
    })
  })

  test('taken verbatim', async () => {
    const { targets } = await read({ filesFromVerbatim: [listFile('\ufeff* \n\n# x\r\n$HOME\n')] })
    expect(targets).toEqual(['* ', '# x', '$HOME'])
  })

  test('ended by zero bytes', async () => {
    const { targets } = await read({ filesFromRaw: [listFile(Buffer.from('a\nb\0\xff\0', 'latin1'))] })
    expect(targets).toEqual(['a\nb', '\xff'])
    expect((await read({ filesFromRaw: [listFile('')] })).targets).toEqual([])
    await expect(read({ filesFromRaw: [listFile('a\0b')] })).rejects.toMatchObject({ code: 'HF_USAGE' })
    await expect(read({ filesFromRaw: [listFile('a\0\0b\0')] })).rejects.toMatchObject({ code: 'HF_USAGE' })
  })

  test('on standard input, once', async () => {
    const stdin = chunks('a\nb', 'c\n', 'd')
    const { targets } = await read({ filesFromVerbatim: ['-', listFile('e'), '-'], stdin })
    expect(targets).toEqual(['a', 'bc', 'd', 'e'])
  })

  test('come in order of their options', async () => {
    const { targets } = await read({
      filesFromRaw: [listFile(`${root}/a\0`)],
      filesFromVerbatim: ['-'],
      stdin: chunks('v'),
    })
    expect(targets).toEqual(['v', 'ROOT/a'])
  })

  test('that are missing are named with their option', async () => {
    await expect(read({ filesFromRaw: [join(root, 'none')] })).rejects.toMatchObject({
      code: 'HF_PATH_NOT_FOUND',
      message: expect.stringMatching(/--files-from-raw.*none/),
    })
  })
})
