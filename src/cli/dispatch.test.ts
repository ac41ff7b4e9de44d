import { describe, expect, test } from 'vitest'
import { entryOf, play } from '../../test/support/stage.ts'
import type { AnyCommand } from './command.ts'
import { type Dispatch, dispatch } from './dispatch.ts'
import { noOptions } from './options/option.ts'
import type { Registry } from './registry.ts'

const command = (name: string): AnyCommand => ({
  name,
  group: 'everyday',
  summary: `Does ${name}`,
  description: 'A long text.',
  examples: [],
  options: noOptions,
  arguments: [{ name: 'path', help: 'a path', repeatable: true }],
  run: async ({ output }, _options, args) => {
    output.result(`${name} ${args.join(' ')}`)
    return 0
  },
})

const registry: Registry = {
  commands: ['backup', 'ls', 'key add', 'key list', 'repair index'].map((name) => ({
    ...entryOf(command(name)),
    ...(name === 'repair index' ? { deprecatedNames: ['rebuild-index'] } : {}),
  })),
  folders: [
    { name: 'key', summary: 'Keys' },
    { name: 'repair', summary: 'Repairs' },
  ],
  refused: { mount: 'there is no FUSE here' },
  nouns: [
    { name: 'backup', summary: 'Configured backups', verbs: ['run', 'status'].map((name) => entryOf(command(name))) },
    { name: 'source', summary: 'Sources', verbs: [entryOf(command('test'))] },
  ],
}

function told(target: Dispatch): string {
  switch (target.kind) {
    case 'command':
      return `${target.family} ${target.entry.name} [${target.rest.join(' ')}]`
    case 'none':
      return `none [${target.rest.join(' ')}]`
    case 'folder':
      return `folder ${target.folder.name} [${target.rest.join(' ')}]`
    case 'noun':
      return `noun ${target.noun.name} [${target.rest.join(' ')}]`
    case 'failure':
      return `${target.family} ${target.error.code}: ${target.error.message}; ${target.error.hint}`
  }
}

const find = (line: string): string => told(dispatch(line === '' ? [] : line.split(' '), registry))

describe('the command of a command line', () => {
  test.each([
    ['', 'none []'],
    ['--json -q', 'none [--json -q]'],
    ['backup /data', 'repository backup [/data]'],
    ['-r /r --json -vv backup /data -n', 'repository backup [-r /r --json -vv /data -n]'],
    ['-r/r --repo=/x backup', 'repository backup [-r/r --repo=/x]'],
    // As in restic an option that is not global takes the next word.
    ['--tag x ls latest', 'repository ls [--tag x latest]'],
    ['key', 'folder key []'],
    ['key --json', 'folder key [--json]'],
    ['key add', 'repository key add []'],
    ['-p f key -q add --user x', 'repository key add [-p f -q --user x]'],
    ['rebuild-index', 'repository repair index []'],
    ['repair index x', 'repository repair index [x]'],
    ['-- backup', 'none [-- backup]'],
  ])('%s: %s', (line, expected) => {
    expect(find(line)).toBe(expected)
  })

  test('a noun and its verb, in both spellings, beside the repository command of the same name', () => {
    expect(find('backup run')).toBe('configured run []')
    expect(find('backup:run x')).toBe('configured run [x]')
    expect(find('--json backup -q run --now')).toBe('configured run [--json -q --now]')
    expect(find('backup ./run')).toBe('repository backup [./run]')
    expect(find('backup /data run')).toBe('repository backup [/data run]')
    // Here `run` may be the value of the option.
    expect(find('backup --tag run')).toBe('repository backup [--tag run]')
    expect(find('source test shop')).toBe('configured test [shop]')
    expect(find('source')).toBe('noun source []')
  })

  test.each([
    [
      'bakup',
      'repository HF_USAGE: unknown command "bakup"; did you mean "backup"? "holdfast help" lists the commands',
    ],
    ['xyzzy', 'repository HF_USAGE: unknown command "xyzzy"; "holdfast help" lists the commands'],
    [
      '--dry-run backup /x',
      'repository HF_USAGE: unknown command "/x"; options of a command come after its name; "holdfast help" lists the commands',
    ],
    [
      'key ad',
      'repository HF_USAGE: unknown command "key ad"; did you mean "key add"? key can be followed by add, list',
    ],
    ['mount /mnt', 'repository HF_UNSUPPORTED: command "mount" is not supported: there is no FUSE here; undefined'],
    ['constructor', 'repository HF_USAGE: unknown command "constructor"; "holdfast help" lists the commands'],
    [
      'source tets',
      'configured HF_USAGE: unknown command "source tets"; did you mean "source test"? source can be followed by test',
    ],
    [
      'source:tets',
      'configured HF_USAGE: unknown command "source tets"; did you mean "source test"? source can be followed by test',
    ],
    [
      'sorce:test',
      'configured HF_USAGE: unknown command "sorce:test"; did you mean "source"? "holdfast help" lists the commands',
    ],
  ])('%s is refused: %s', (line, expected) => {
    expect(find(line)).toBe(expected)
  })
})

describe('running it', () => {
  const exitCodes = {
    'backup /data': 0,
    'backup run': 0,
    'source:tets': 2,
    'source test --frob': 2,
    bakup: 1,
    'ls --frob': 1,
    mount: 1,
  }
  test.each(Object.entries(exitCodes))('%s ends with %i', async (line, exitCode) => {
    expect((await play(line.split(' '), {}, registry)).exitCode).toBe(exitCode)
  })

  test('a deprecated name works with a warning', async () => {
    expect(await play(['rebuild-index'], {}, registry)).toEqual({
      exitCode: 0,
      stdout: 'repair index \n',
      stderr: 'Warning: command "rebuild-index" is deprecated, use "repair index"\n',
    })
  })

  test('the first word of two alone lists the second ones', async () => {
    const { stdout, exitCode } = await play(['key'], {}, registry)
    expect(exitCode).toBe(0)
    expect(stdout).toContain('  add   Does key add\n  list  Does key list\n')
    expect((await play(['source', '--help'], {}, registry)).stdout).toContain('  test  Does test\n')
  })

  test('the overview lists what holdfast.yaml names, commands and first words', async () => {
    const { stdout } = await play([], {}, registry)
    for (const line of ['  backup  Does backup', '  key     Keys', '  source:test    Does test'])
      expect(stdout).toContain(line)
    expect(stdout).not.toContain('key add')
  })
})
