import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { commandPath, lacks, missingRequirements } from './requirements.ts'
import { describeSkips } from './skip-reporter.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-requirements-'))
  vi.stubEnv('PATH', `:${folder}`)
  vi.stubEnv('HOLDFAST_TEST_ALL', undefined)
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true, force: true })
})

test('a command counts as present when PATH has an executable file of that name', () => {
  expect(lacks('restic')).toBe(true)
  mkdirSync(join(folder, 'restic'))
  expect(lacks('restic')).toBe(true)
  writeFileSync(join(folder, 'unzip'), '#!/bin/sh\n')
  chmodSync(join(folder, 'unzip'), 0o644)
  expect(lacks('unzip')).toBe(true)
  chmodSync(join(folder, 'unzip'), 0o755)
  expect(lacks('unzip')).toBe(false)
  expect(commandPath('unzip')).toBe(join(folder, 'unzip'))
  expect(lacks('unzip', 'restic')).toBe(true)
  expect(missingRequirements().map(({ debianPackage }) => debianPackage)).toContain('restic')
})

test('where everything has to run, a missing package is a failure that says what to do', () => {
  vi.stubEnv('HOLDFAST_TEST_ALL', '1')
  expect(() => lacks('restic')).toThrow('needs the command restic: run `node scripts/setup.ts` as root')
})

test('being root cannot be installed and stays a reason to skip', () => {
  vi.stubEnv('HOLDFAST_TEST_ALL', '1')
  expect(lacks('root')).toBe(process.getuid?.() !== 0)
})

test('skipped tests are named and counted', () => {
  expect(describeSkips([{ file: 'src/a.test.ts', skipped: [] }], ['the command restic'])).toBe('')
  const files = [
    { file: 'src/a.test.ts', skipped: ['group > one', 'two'] },
    { file: 'src/b.test.ts', skipped: ['three'] },
  ]
  expect(describeSkips(files, ['to be root'])).toBe(
    '\n3 tests were skipped:\n  src/a.test.ts > group > one\n  src/a.test.ts > two\n  src/b.test.ts > three\nNot on this machine: to be root\n',
  )
})
