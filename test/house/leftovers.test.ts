import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { findLeftovers } from '../../scripts/find-leftovers.ts'
import { projectFiles } from '../../scripts/project-files.ts'

const checkout = join(import.meta.dirname, '../..')
const NUL = '\0'

describe('the project', () => {
  test('has nothing in it that must not be there', () => {
    const recorded = /^(test\/golden|bench\/results)\//
    const found = projectFiles(checkout)
      .filter((path) => !recorded.test(path) && path !== 'test/house/leftovers.test.ts')
      .map((path) => ({ path, text: readFileSync(join(checkout, path), 'latin1') }))
      .filter(({ text }) => !text.includes(NUL))
      .flatMap(({ path, text }) => findLeftovers(path, text, checkout))
    expect(found.map(({ path, line, what }) => `${path}:${line}: ${what}`)).toEqual([])
  })
})

describe('what is found', () => {
  test.each([
    ['src/lib/a.ts', '// TODO: later', 'unfinished work'],
    ['bin/holdfast', '# FIXME', 'unfinished work'],
    ['src/lib/a.test.ts', "test.skip('never', () => {})", 'a test that is switched off or runs alone'],
    ['src/lib/a.test.ts', "describe.only('mine', () => {", 'a test that is switched off or runs alone'],
    ['src/lib/a.test.ts', 'it.todo("one day")', 'a test that is switched off or runs alone'],
    ['src/cli/run.ts', 'spawn(command, { shell: true })', 'a shell given a string'],
    ['README.md', '<<<<<<< HEAD', 'a conflict of a merge'],
    ['docs/guide/files.md', 'see /builds/team/holdfast/src', 'a path of the machine this was written on'],
    ['docs/guide/files.md', 'see "/builds/team"', 'a path of the machine this was written on'],
    [
      'package-lock.json',
      '"resolved": "https://npm.corp.example/left-pad"',
      'a package from another place than the public registry',
    ],
    ['.npmrc', 'registry=http://10.0.0.1:4873/', 'a package from another place than the public registry'],
  ])('%s: %s', (path, text, what) => {
    expect(findLeftovers(path, `fine\n${text}\nfine\n`, '/builds/team/holdfast')).toEqual([{ path, line: 2, what }])
  })

  test.each([
    ['src/lib/a.ts', 'const todoList = 1 // a list of what is to do'],
    ['src/lib/a.test.ts', "test.skipIf(missing)('restic reads it', () => {})"],
    ['docs/guide/files.md', 'holdfast backup /home/user/thesis/ /srv/builds/team'],
    ['docs/guide/files.md', 'see https://example.org/builds/team and bench/builds/team'],
    ['package-lock.json', '"resolved": "https://registry.npmjs.org/koffi/-/koffi-3.3.4.tgz"'],
    ['package-lock.json', '"funding": { "url": "https://opencollective.com/vitest" }'],
  ])('but not %s: %s', (path, text) => {
    expect(findLeftovers(path, text, '/builds/team/holdfast')).toEqual([])
  })

  test('a checkout in a folder everybody has does not make that folder a secret', () => {
    expect(findLeftovers('README.md', 'cp -a /tmp/a /tmp/holdfast/b', '/tmp/holdfast')).toHaveLength(1)
    expect(findLeftovers('README.md', 'cp -a /tmp/a /tmp/b', '/tmp/holdfast')).toEqual([])
  })
})
