import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { commandBlocks } from './commands.ts'
import { follow as followIn, testDocuments } from './guides.ts'

describe('the commands of the documents that need no server', () => {
  testDocuments('others')
})

let scratch: string
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'holdfast-docs-'))
})
afterEach(() => {
  rmSync(scratch, { recursive: true, force: true })
})

const follow = (text: string): ReturnType<typeof followIn> => followIn(text, scratch)

describe('following a document', () => {
  test('runs its sh blocks in order, in one shell', () => {
    const text =
      '# Title\n\n```sh\nmkdir a\ncd a\nexport NAME="x y"\n```\n\ntext\n\n```text\nnot a command\n```\n\n```sh\necho "$NAME" > b\npwd\n```\n'
    const { exitCode, stdout } = follow(text)
    expect(exitCode).toBe(0)
    expect(stdout).toBe(`${join(scratch, 'home/a')}\n`)
    expect(readFileSync(join(scratch, 'home/a/b'), 'utf8')).toBe('x y\n')
  })

  test('stops at the first command that fails and says where', () => {
    const { exitCode, stdout, stderr } = follow('```sh\ntrue\n```\n\n```sh\ncat missing.txt\necho after\n```\n')
    expect(exitCode).not.toBe(0)
    expect(stdout).toBe('')
    expect(stderr).toContain('::line 6\n')
    expect(stderr).toContain('missing.txt')
  })

  test('a command of ours that does not exist fails', () => {
    const { exitCode, stderr } = follow('```sh\nholdfast bakcup folder\n```\n')
    expect(exitCode).toBe(1)
    expect(stderr).toContain('bakcup')
  })

  test('leaves marked blocks out, with the reason', () => {
    const text = '<!-- not run: needs a server -->\n\n```sh\nfalse\n```\n\n```sh\necho ran\n```\n'
    expect(commandBlocks(text)).toEqual([
      { line: 4, commands: 'false', notRun: 'needs a server' },
      { line: 8, commands: 'echo ran', notRun: undefined },
    ])
    expect(follow(text)).toMatchObject({ exitCode: 0, stdout: 'ran\n' })
  })

  test('reads blocks in lists, and other fences', () => {
    expect(
      commandBlocks('1. First\n\n   ```sh\n   ls\n     -l\n   ```\n\n~~~sh\ntrue\n~~~\n').map(
        ({ commands }) => commands,
      ),
    ).toEqual(['ls\n  -l', 'true'])
  })

  test.each([
    ['```sh\nls\n', 'line 1: the block is not closed'],
    ['<!-- not run: -->\n```sh\nls\n```\n', 'line 1: a block is left out without a reason'],
    ['<!-- not run: slow -->\n\ntext\n\n```sh\nls\n```\n', 'line 1: the mark is not followed by a block of commands'],
    ['<!-- not run: slow -->\n```text\nls\n```\n', 'line 1: the mark is not followed by a block of commands'],
    ['text\n<!-- not run: slow -->', 'line 2: the mark is not followed by a block of commands'],
  ])('refuses %j', (text, message) => {
    expect(() => commandBlocks(text)).toThrow(message)
  })
})
