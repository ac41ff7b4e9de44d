import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { afterEach, expect, test, vi } from 'vitest'
import { lacks } from '../../../test/support/requirements.ts'
import { scratchFolder } from '../../../test/support/test-repository.ts'
import { findServerPrograms, programsRemedy } from './server-programs.ts'

afterEach(() => {
  vi.unstubAllEnvs()
})

test('programs are those that say they are of the version, first where the variable leads', () => {
  using scratch = scratchFolder()
  const plant = (name: string, output: string): string => {
    const folder = scratch.join(name)
    mkdirSync(folder)
    writeFileSync(`${folder}/postgres`, `#!/bin/sh\necho '${output}'\n`)
    chmodSync(`${folder}/postgres`, 0o755)
    return folder
  }
  const wrong = plant('wrong', 'postgres (PostgreSQL) 98.1')
  const other = plant('other', 'something else 99.1')
  const right = plant('right', 'postgres (PostgreSQL) 99devel (Debian 99~1)')
  vi.stubEnv('HOLDFAST_POSTGRES_BIN', `${wrong}:relative:${other}:${scratch.join('gone')}:${right}`)
  expect(findServerPrograms(99)).toEqual({ folder: right, version: '99devel (Debian 99~1)', majorVersion: 99 })
  vi.stubEnv('HOLDFAST_POSTGRES_BIN', '')
  vi.stubEnv('PATH', `${other}:${right}`)
  expect(findServerPrograms(99)?.folder).toBe(right)
  vi.stubEnv('PATH', other)
  expect(findServerPrograms(99)).toBeUndefined()
  expect(programsRemedy(99)).toContain('postgresql-99')
})

test.skipIf(lacks('postgres15', 'postgres18'))('programs of the system and of npm are found', () => {
  expect(findServerPrograms(15)?.version).toMatch(/^15\./)
  expect(findServerPrograms(18)?.version).toMatch(/^18\./)
})
