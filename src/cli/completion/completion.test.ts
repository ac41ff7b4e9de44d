import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ourStage } from '../../../test/support/our-stage.ts'
import { lacks } from '../../../test/support/requirements.ts'
import type { AnyDescription } from '../command.ts'
import { backupDescription } from '../descriptions/backup.ts'
import { completionDescription, shells } from '../descriptions/completion.ts'
import { forgetDescription } from '../descriptions/forget.ts'
import { keyAddDescription } from '../descriptions/key-add.ts'
import { keyListDescription } from '../descriptions/key-list.ts'
import { lsDescription } from '../descriptions/ls.ts'
import { restoreDescription } from '../descriptions/restore.ts'
import type { CommandEntry, Registry } from '../registry.ts'
import { renderCompletion } from './render.ts'

const entry = (description: AnyDescription): CommandEntry => ({
  name: description.name,
  describe: async () => description,
  load: async () => {
    throw new Error('completion needs no code of commands')
  },
})

const registry: Registry = {
  commands: [
    backupDescription,
    completionDescription,
    forgetDescription,
    keyAddDescription,
    keyListDescription,
    lsDescription,
    restoreDescription,
  ].map(entry),
  folders: [{ name: 'key', summary: 'Manage the user’s passwords: add, list' }],
  refused: {},
  nouns: [{ name: 'backup', summary: 'Configured backups', verbs: [{ ...entry(keyListDescription), name: 'status' }] }],
}

const folder = mkdtempSync(join(tmpdir(), 'holdfast-completion-'))
afterAll(() => rmSync(folder, { recursive: true }))
beforeAll(async () => {
  for (const shell of shells) writeFileSync(join(folder, `holdfast.${shell}`), await renderCompletion(shell, registry))
  mkdirSync(join(folder, 'here', 'a folder'), { recursive: true })
  writeFileSync(join(folder, 'here', 'a file'), '')
})

/** What bash offers at the end of these words. */
function bash(...words: readonly string[]): string[] {
  const script = `source ../holdfast.bash
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_holdfast
printf '%s\\n' "\${COMPREPLY[@]}"`
  const output = execFileSync('bash', ['-c', script, 'bash', 'holdfast', ...words], {
    cwd: join(folder, 'here'),
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  return output
    .split('\n')
    .filter((line) => line !== '')
    .sort()
}

describe('bash', () => {
  test.each<[string[], string[]]>([
    [[''], ['backup', 'completion', 'forget', 'key', 'ls', 'restore']],
    [['re'], ['restore']],
    [['--json', '-r', '/repo', 'fo'], ['forget']],
    [
      ['key', ''],
      ['add', 'list'],
    ],
    [['backup', 's'], ['status']],
    [
      ['completion', ''],
      ['bash', 'fish', 'zsh'],
    ],
    [['completion', 'bash', ''], []],
    [['backup', '--exclude-c'], ['--exclude-caches']],
    [['key', 'add', '--new-p'], ['--new-password-file']],
    [
      ['restore', '--overwrite', 'if'],
      ['if-changed', 'if-newer'],
    ],
    [['restore', '--overwrite', '=', 'ne'], ['never']],
    [
      ['restore', '--overwrite', '='],
      ['always', 'if-changed', 'if-newer', 'never'],
    ],
    [['--compression', 'm'], ['max']],
    [
      ['forget', '-g', 'host,'],
      ['host,paths', 'host,paths,tags', 'host,tags'],
    ],
    [['restore', '--target', ''], ['a folder']],
    [
      ['backup', ''],
      ['a file', 'a folder', 'status'],
    ],
    [
      ['backup', '--exclude-file', 'a f'],
      ['a file', 'a folder'],
    ],
    // -l has a value in forget and none in ls.
    [['ls', '-l', '--so'], ['--sort']],
    [['ls', '--path', 'x', '--sort', 'si'], ['size']],
  ])('%j: %j', (words, expected) => {
    expect(bash(...words)).toEqual(expected)
  })
})

test('bash offers names of configured repositories for --repo, and folders', () => {
  const script = `source ../holdfast.bash
holdfast() { [[ "$*" == 'completion repositories' ]] && printf 'main\\noffsite\\n'; }
for words in 'holdfast -r ' 'holdfast --repo off' 'holdfast backup -r a'; do
  IFS=' ' read -r -a COMP_WORDS <<< "$words"; [[ $words == *' ' ]] && COMP_WORDS+=('')
  COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
  _holdfast
  (IFS=,; echo "\${COMPREPLY[*]}")
done`
  const output = execFileSync('bash', ['-c', script], {
    cwd: join(folder, 'here'),
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  expect(output).toBe('main,offsite,a folder\noffsite\na folder\n')
})

test('names of configured repositories are printed for the scripts, those that are plain words', async () => {
  using stage = await ourStage()
  const repository = { url: stage.path('repository'), password: 'env:X' }
  const file = stage.path('holdfast.yaml')
  writeFileSync(file, JSON.stringify({ version: 1, repositories: { main: repository, 'off-site.2': repository } }))
  const environment = { HOLDFAST_CONFIG: file, HOLDFAST_REPOSITORY: '' }
  expect(await stage.must(['completion', 'repositories'], { environment })).toBe('main\noff-site.2\n')
})

describe.skipIf(lacks('zsh'))('zsh', () => {
  test('takes the script', () => {
    execFileSync('zsh', ['-n', join(folder, 'holdfast.zsh')])
  })
})

describe.skipIf(lacks('fish'))('fish', () => {
  /** What fish offers at the end of a line. */
  function fish(line: string): string[] {
    const output = execFileSync('fish', ['--no-config', '-c', 'source ../holdfast.fish; complete -C $argv[1]', line], {
      cwd: join(folder, 'here'),
      encoding: 'utf8',
      env: { ...process.env, HOME: folder },
    })
    return output
      .split('\n')
      .filter((text) => text !== '')
      .map((text) => text.split('\t')[0]!)
      .sort()
  }

  test.each<[string, string[]]>([
    ['holdfast ', ['backup', 'completion', 'forget', 'key', 'ls', 'restore']],
    ['holdfast --json -r /repo fo', ['forget']],
    ['holdfast key ', ['add', 'list']],
    ['holdfast completion ', ['bash', 'fish', 'zsh']],
    ['holdfast restore --overwrite if', ['if-changed', 'if-newer']],
    ['holdfast restore --overwrite=ne', ['--overwrite=never']],
    ['holdfast key add --new-p', ['--new-password-file']],
    ['holdfast --compression m', ['max']],
    ['holdfast restore --target ', ['a folder/']],
  ])('%s: %j', (line, expected) => {
    expect(fish(line)).toEqual(expected)
  })
})
