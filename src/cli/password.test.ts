import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { stage, TypedInput } from '../../test/support/stage.ts'
import { splitCommandLine } from '../lib/command-line.ts'
import { HoldfastError } from '../lib/errors.ts'
import { type AccessOptions, chooseLocation, choosePassword, mainAccess, type PasswordSource } from './access.ts'
import type { Environment } from './environment.ts'
import { readLine } from './input.ts'
import { globalOptions } from './options/global.ts'
import { noOptions } from './options/option.ts'
import { parseOptions } from './options/parse.ts'
import { Output } from './output/output.ts'
import { readFirstPassword, readNewPassword, withPassword } from './password.ts'
import { terminalOf } from './terminal.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-password-'))
afterAll(() => rmSync(folder, { recursive: true }))

function file(name: string, content: string | Uint8Array, mode = 0o600): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  chmodSync(path, mode)
  return path
}

function context(input: TypedInput = new TypedInput()) {
  const { stdout, stderr, environment, controller } = stage()
  const terminal = terminalOf(input, stdout, environment)
  const output = new Output({ stdout, stderr, terminal, json: false, verbosity: 1 })
  return { output, stdin: input, signal: controller.signal, terminal, stderr, controller }
}

type Context = ReturnType<typeof context>

const read = (source: PasswordSource, on: Context = context()): Promise<string> =>
  withPassword(on, source, 'password: ', async (text) => text)

/** Types the lines one after the other, each when the next prompt is there. */
async function type(on: Context, lines: readonly string[]): Promise<void> {
  for (const [index, line] of lines.entries()) {
    await expect.poll(() => on.stderr.text.split(': ').length - 1).toBeGreaterThan(index)
    on.stdin.write(`${line}\r`)
  }
}

describe('where the repository and its password come from', () => {
  function choices(
    args: readonly string[],
    environment: Environment,
  ): { access: AccessOptions; parsed: ReturnType<typeof parse> } {
    const parsed = parse(args, environment)
    return { access: mainAccess(parsed.global), parsed }
  }
  const parse = (args: readonly string[], environment: Environment) =>
    parseOptions(args, globalOptions, { options: noOptions }, environment)
  const password = (args: readonly string[], environment: Environment = {}): PasswordSource => {
    const { access, parsed } = choices(args, environment)
    return choosePassword(access, parsed.sources, environment)
  }
  const location = (args: readonly string[], environment: Environment = {}): Promise<string> => {
    const { access, parsed } = choices(args, environment)
    return chooseLocation(access, parsed.sources)
  }

  test('the command line wins over our variables, these over restic’s', async () => {
    const path = file('location', '\ufeff /in-file\n')
    expect(await location(['-r', '/a'], { HOLDFAST_REPOSITORY: '/b' })).toBe('/a')
    expect(await location([], { HOLDFAST_REPOSITORY: '/b', RESTIC_REPOSITORY_FILE: path })).toBe('/b')
    expect(await location(['--repository-file', path], { HOLDFAST_REPOSITORY: '/b' })).toBe('/in-file')
    expect(await location(['-r', ''], { RESTIC_REPOSITORY_FILE: path })).toBe('/in-file')
    await expect(location(['-r', '/a', '--repository-file', path])).rejects.toThrow(
      '--repo and --repository-file cannot be given together',
    )
    await expect(location([])).rejects.toMatchObject({
      code: 'HF_USAGE',
      hint: expect.stringContaining('HOLDFAST_REPOSITORY'),
    })
    await expect(location(['--repository-file', join(folder, 'none')])).rejects.toThrow('does not exist')
  })

  test('so for passwords; a file or command is stronger than a password in a variable of the same group', () => {
    expect(password([])).toEqual({ kind: 'prompt' })
    expect(password([], { RESTIC_PASSWORD: 'x' })).toEqual({ kind: 'variable', name: 'RESTIC_PASSWORD', password: 'x' })
    expect(password([], { HOLDFAST_PASSWORD: 'x', RESTIC_PASSWORD_FILE: '/f' })).toMatchObject({ kind: 'variable' })
    expect(password([], { HOLDFAST_PASSWORD: 'x', HOLDFAST_PASSWORD_FILE: '/f' })).toEqual({ kind: 'file', path: '/f' })
    expect(password(['--password-command', 'pass'], { HOLDFAST_PASSWORD_FILE: '/f' })).toEqual({
      kind: 'command',
      command: 'pass',
    })
    expect(() => password(['-p', '/f', '--password-command', 'pass'])).toThrow('cannot be given together')
  })

  test('no password has to be asked for, and contradicts any other', () => {
    expect(password(['--insecure-no-password'])).toEqual({ kind: 'empty' })
    expect(() => password(['--insecure-no-password'], { RESTIC_PASSWORD: 'x' })).toThrow('by RESTIC_PASSWORD')
  })
})

describe('a password file', () => {
  test('gives its text without white space around it, a byte order mark, or UTF-16', async () => {
    expect(await read({ kind: 'file', path: file('plain', ' pass word \r\n') })).toBe('pass word')
    expect(await read({ kind: 'file', path: file('bom', '\ufeffpass') })).toBe('pass')
    expect(await read({ kind: 'file', path: file('utf16', Buffer.from('\ufeffpäss\n', 'utf16le')) })).toBe('päss')
    expect(await read({ kind: 'file', path: file('utf16be', Buffer.from('\ufeffpäss\n', 'utf16le').swap16()) })).toBe(
      'päss',
    )
  })

  test('that every user can read gets a warning', async () => {
    const on = context()
    const path = file('open', 'x', 0o644)
    await read({ kind: 'file', path }, on)
    expect(on.stderr.text).toBe(
      `Warning: password file ${path} can be read by every user of this machine; run: chmod 600 ${path}\n`,
    )
    const quiet = context()
    await read({ kind: 'file', path: file('closed', 'x', 0o640) }, quiet)
    expect(quiet.stderr.text).toBe('')
  })

  test.each([
    ['empty', ' \n', 'is empty'],
    ['binary', new Uint8Array([0xff, 0x80, 0x41]), 'is not text in UTF-8'],
  ])('that is %s is refused', async (name, content, message) => {
    await expect(read({ kind: 'file', path: file(name, content) })).rejects.toThrow(message)
  })
  test('that is not there is refused', async () => {
    await expect(read({ kind: 'file', path: join(folder, 'missing') })).rejects.toThrow('missing does not exist')
  })
})

describe('a password command', () => {
  test('is run without a shell and gives what it prints', async () => {
    expect(await read({ kind: 'command', command: `echo '$HOME "x"' ; id` })).toBe('$HOME "x" ; id')
  })
  test.each([
    ['false', 'failed with exit status 1'],
    ['/does/not/exist', 'cannot be run'],
    ['true', 'printed nothing'],
    ["echo 'x", 'is not closed'],
    ['yes', 'more than 1 MiB'],
  ])('%s is an error that says: %s', async (command, message) => {
    await expect(read({ kind: 'command', command })).rejects.toThrow(message)
  })
  test('ends with the program', async () => {
    const on = context()
    const reading = read({ kind: 'command', command: 'sleep 60' }, on)
    on.controller.abort(new HoldfastError('HF_INTERRUPTED', 'interrupted'))
    await expect(reading).rejects.toMatchObject({ code: 'HF_INTERRUPTED' })
  })
})

describe('the words of a command', () => {
  // Tried with restic 0.19.1: a program that prints its arguments as the password command.
  test.each([
    ['a b  c', ['a', 'b', 'c']],
    [`"a b" 'c d'`, ['a b', 'c d']],
    [`a"b c"d`, ['a', 'b c', 'd']],
    [`"it's"`, ["it's"]],
    ['a\\ b', ['a', 'b']],
    ['"a\\"b"', ['a\\"b']],
    [`'' a`, ['a']],
    ['a\u00a0b', ['a', 'b']],
  ])('%s', (text, words) => {
    expect(splitCommandLine(text)).toEqual(words)
  })
  test.each(['', '  ', '"a', "'a", "''"])('%j is refused', (text) => {
    expect(() => splitCommandLine(text)).toThrow(HoldfastError)
  })
  test('no text makes it fail otherwise, and no word is empty', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          expect(splitCommandLine(text).every((word) => word !== '')).toBe(true)
        } catch (error) {
          expect(error).toBeInstanceOf(HoldfastError)
        }
      }),
    )
  })
})

describe('at a terminal', () => {
  const terminalContext = (): Context => context(new TypedInput(true))

  test('a password is asked for without echo', async () => {
    const on = terminalContext()
    const reading = read({ kind: 'prompt' }, on)
    await type(on, ['wron\x15sesame\x7fe'])
    expect(await reading).toBe('sesame')
    expect(on.stderr.text).toBe('password: \n')
    expect(on.stdin.rawModes).toEqual([true, false])
  })

  test('a wrong one may be typed again, twice', async () => {
    const on = terminalContext()
    const tried: string[] = []
    const opening = withPassword(on, { kind: 'prompt' }, 'password: ', async (password) => {
      tried.push(password)
      throw new HoldfastError('HF_KEY_WRONG_PASSWORD', 'wrong password')
    })
    await Promise.all([
      expect(opening).rejects.toMatchObject({ code: 'HF_KEY_WRONG_PASSWORD' }),
      type(on, ['a', 'b', 'c']),
    ])
    expect(tried).toEqual(['a', 'b', 'c'])
    expect(on.stderr.text).toContain('wrong password. Try again')
  })

  test('a new one is asked for twice, and both have to be equal', async () => {
    const same = terminalContext()
    const first = readFirstPassword(same, { kind: 'prompt' })
    await type(same, ['säfe', 'säfe'])
    expect(await first).toBe('säfe')

    const other = terminalContext()
    const second = readNewPassword(other, {
      newPasswordFile: undefined,
      newInsecureNoPassword: false,
      user: undefined,
      host: undefined,
    })
    await Promise.all([expect(second).rejects.toThrow('passwords do not match'), type(other, ['a', 'b'])])
  })

  test('the terminal is left as it was when the program is interrupted', async () => {
    const on = terminalContext()
    const reading = read({ kind: 'prompt' }, on)
    await expect.poll(() => on.stdin.rawModes).toEqual([true])
    on.controller.abort(new HoldfastError('HF_INTERRUPTED', 'interrupted'))
    await expect(reading).rejects.toMatchObject({ code: 'HF_INTERRUPTED' })
    expect(on.stdin.rawModes).toEqual([true, false])
  })
})

describe('without a terminal', () => {
  test('the password is the first line of standard input, and the rest stays there', async () => {
    const on = context()
    on.stdin.write('secret\r\ndata\nmore')
    on.stdin.end()
    expect(await read({ kind: 'prompt' }, on)).toBe('secret')
    expect(await readLine(on.stdin)).toBe('data')
    expect(await readLine(on.stdin)).toBe('more')
    expect(await readLine(on.stdin)).toBeUndefined()
  })

  test.each([
    ['', 'standard input holds none'],
    ['\n', 'the password is empty'],
  ])('%j is refused', async (input, message) => {
    const on = context()
    on.stdin.end(input)
    await expect(read({ kind: 'prompt' }, on)).rejects.toThrow(message)
  })

  test('a line may come in pieces', async () => {
    const on = context()
    const reading = read({ kind: 'prompt' }, on)
    for (const piece of ['se', 'cr', 'et\n']) {
      on.stdin.write(piece)
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(await reading).toBe('secret')
  })
})
