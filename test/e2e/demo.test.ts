import { spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'

const checkout = join(import.meta.dirname, '../..')
const holdfast = join(checkout, 'bin/holdfast')

let scratch: string
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'holdfast-'))
  // Short, since sockets lie below; and open, since servers that do not run as root have to get through.
  chmodSync(scratch, 0o711)
})
afterEach(() => {
  rmSync(scratch, { recursive: true, force: true })
})

interface Outcome {
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
  /** What lies in the folder for temporary files afterwards. */
  readonly left: readonly string[]
}

/** Runs the demonstration on a small tree; `interruptAt`: sends SIGINT when it has printed that. */
async function demonstrate(program: string, interruptAt?: string, part = 'files'): Promise<Outcome> {
  const folder = mkdtempSync(join(scratch, 't'))
  chmodSync(folder, 0o711)
  const child = spawn(
    process.execPath,
    [join(checkout, 'scripts/demo.ts'), '--scale=0.01', `--program=${program}`, `--part=${part}`],
    {
      env: { ...process.env, TMPDIR: folder },
    },
  )
  let [stdout, stderr] = ['', '']
  child.stderr.on('data', (data: Buffer) => {
    stderr += data.toString()
  })
  child.stdout.on('data', (data: Buffer) => {
    stdout += data.toString()
    if (interruptAt !== undefined && stdout.includes(interruptAt)) child.kill('SIGINT')
  })
  const exitCode = await new Promise<number | null>((resolve) => child.on('close', resolve))
  return { exitCode, stdout, stderr, left: readdirSync(folder) }
}

/** Holdfast, but for what `lines` of shell do first; `$arguments` are its arguments between spaces. */
function plantProgram(lines: string): string {
  const program = join(scratch, 'program')
  writeFileSync(program, `#!/bin/sh\narguments=" $* "\n${lines}\nexec ${holdfast} "$@"\n`, { mode: 0o755 })
  return program
}

test('the demonstration proves a restore, says what it did and leaves nothing behind', async () => {
  const { exitCode, stdout, stderr, left } = await demonstrate(holdfast)
  expect(stderr).toBe('')
  expect(exitCode).toBe(0)
  expect(stdout).toMatch(/Disaster: \d+ files deleted, \d+ overwritten, \d+ cut in half/)
  expect(stdout).toContain('$ holdfast -r repository --password-file password restore latest --target .')
  expect(stdout).toMatch(/Proved: after the restore all \d+ files are equal/)
  expect(stdout).toMatch(/restore \(RTO\) +\d+\.\d\d s +\d+ MB\/s/)
  expect(left).toEqual([])
})

test.each([
  ['restores nothing', 'case $arguments in *" restore "*) exit 0;; esac', 'after the restore'],
  [
    'restores one file wrongly',
    `case $arguments in *" restore "*) ${holdfast} "$@" || exit; printf X >> "$(find tree -name shop.sql)"; exit 0;; esac`,
    'after the restore dumps/shop.sql: ',
  ],
  [
    'finds damage',
    'case $arguments in *" check "*) echo damaged >&2; exit 1;; esac',
    'holdfast check ended with 1:\ndamaged',
  ],
])('with a program that %s it fails and leaves nothing behind', async (_, lines, message) => {
  const { exitCode, stdout, stderr, left } = await demonstrate(plantProgram(lines))
  expect(exitCode).toBe(1)
  expect(stderr).toContain('The demonstration FAILED')
  expect(stderr).toContain(message)
  expect(stdout).not.toContain('Proved')
  expect(left).toEqual([])
})

test('databases are backed up under writes, proved, killed and restored', async () => {
  const { exitCode, stdout, stderr, left } = await demonstrate(holdfast, undefined, 'databases')
  expect(stderr).toBe('')
  expect(exitCode).toBe(0)
  expect(stdout).toMatch(/Databases: PostgreSQL \d+/)
  expect(stdout).toMatch(/Proved: .* journal entries without a gap/)
  expect(left).toEqual([])
})

test('interrupted it leaves nothing behind', async () => {
  const { exitCode, left } = await demonstrate(holdfast, 'backup tree')
  expect(exitCode).toBe(130)
  expect(left).toEqual([])
})
