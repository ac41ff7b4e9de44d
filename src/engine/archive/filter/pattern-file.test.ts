// biome-ignore-all lint/suspicious/noTemplateCurlyInString: variables in pattern files are what is tested
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { utf8 } from '../../../lib/bytes.ts'
import { parsePatterns } from './pattern.ts'
import { expandVariables, parsePatternFile, readPatternFiles } from './pattern-file.ts'

const environment = { HOME: '/home/me', EMPTY: '', a: 'A', 'with space': 'S', NAME: 'größe' }

const texts = (file: string) => parsePatternFile(utf8(file), 'f', environment).map(({ text }) => text)

describe('pattern files', () => {
  test('have a pattern a line, comments and empty lines', () => {
    expect(texts('*.o\n\n  # not this\n\t!keep.o \r\n\\#this\n#\n x # y')).toEqual([
      '*.o',
      '!keep.o',
      '\\#this',
      'x # y',
    ])
  })

  test('name the place of each pattern', () => {
    const sources = parsePatternFile(utf8('*.o\n\n \u00a0ä[\n$HOME/['), 'excludes', environment)
    expect(sources.map(({ origin }) => origin)).toEqual([
      { file: 'excludes', line: 1, column: 1 },
      { file: 'excludes', line: 3, column: 3 },
      { file: 'excludes', line: 4, column: undefined },
    ])
    expect(() => parsePatterns(sources)).toThrow(/\(excludes:3:4\)[\s\S]*\(excludes:4\)/)
  })

  test.each([
    ['$HOME/x', '/home/me/x'],
    ['${HOME}x', '/home/mex'],
    ['$HOMEx', ''],
    ['$UNSET/x', '/x'],
    ['$EMPTY', ''],
    ['a$$b', 'a$b'],
    ['$$HOME', '$HOME'],
    ['${$}', '$'],
    ['a$', 'a$'],
    ['$/x', '$/x'],
    ['$ö', '$ö'],
    ['${with space}!', 'S!'],
    ['${}x', 'x'],
    ['${HOME', 'HOME'],
    ['$1a', 'a'],
    ['$a-$a', 'A-A'],
    ['$constructor', ''],
    ['$NAME', 'größe'],
  ])('%s becomes %s', (text, expanded) => {
    const binary = (value: string) => Buffer.from(value).toString('latin1')
    expect(expandVariables(binary(text), environment)).toBe(binary(expanded))
  })

  describe('on disk', () => {
    let root: string
    beforeAll(() => {
      root = mkdtempSync(join(tmpdir(), 'patterns-'))
    })
    afterAll(() => rmSync(root, { recursive: true }))

    test('are read in order', async () => {
      writeFileSync(join(root, 'one'), 'a\nb')
      writeFileSync(join(root, 'two'), Buffer.concat([Buffer.from('\ufeffc\n'), Buffer.of(0xff)]))
      const sources = await readPatternFiles([join(root, 'one'), join(root, 'two')], '--exclude-file')
      expect(sources.map(({ text }) => text)).toEqual(['a', 'b', 'c', '\xff'])
    })

    test('that are missing or unreadable are named with their option', async () => {
      const missing = readPatternFiles([join(root, 'none')], '--exclude-file')
      await expect(missing).rejects.toMatchObject({
        code: 'HF_PATH_NOT_FOUND',
        message: expect.stringMatching(/--exclude-file.*none/),
      })
      await expect(readPatternFiles([root], '--include-file')).rejects.toMatchObject({ code: 'HF_USAGE' })
    })
  })
})
