import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { commandPath, lacks } from '../test/support/requirements.ts'

let scratch: string
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'holdfast-bench-'))
})
afterEach(() => {
  rmSync(scratch, { recursive: true, force: true })
})

function bench(
  holdfast: string,
  chosen: string,
): { readonly exitCode: number | null; readonly stdout: string; readonly stderr: string } {
  const result = spawnSync(
    process.execPath,
    [
      join(import.meta.dirname, 'run.ts'),
      '--rounds=1',
      '--no-wait',
      '--snapshots=2',
      '--scale=0.001',
      `--work=${scratch}`,
      `--holdfast=${holdfast}`,
      `--cases=${chosen}`,
    ],
    { encoding: 'utf8', env: { ...process.env, RESTIC: 'restic' } },
  )
  return { exitCode: result.status, stdout: result.stdout, stderr: result.stderr }
}

/** A program that is restic but for what `lines` of shell do first. */
function plantProgram(lines: string): string {
  const program = join(scratch, 'program')
  writeFileSync(program, `#!/bin/sh\n${lines}\nexec ${commandPath('restic')} "$@"\n`, { mode: 0o755 })
  return program
}

describe.skipIf(lacks('restic'))('the comparison, restic against itself', () => {
  test('runs cases, finds nothing to object to, and cleans up', () => {
    const { exitCode, stdout, stderr } = bench('restic', 'changed,prune')
    expect(stderr).not.toContain('does not count')
    expect(exitCode).toBe(0)
    for (const title of ['backup, 1 % of files changed', 'prune after forgetting half of 20 snapshots']) {
      expect(stdout).toMatch(new RegExp(`\\| ${title} \\|.* \\d+\\.\\d\\d x \\|.* \\|`))
    }
    expect(readdirSync(scratch).sort()).toEqual(['tree', 'tree.state.json'])
  })

  test('a program that stores damaged data is caught, however fast', () => {
    // One other byte in each pack, after the program has said that all went well.
    const damage = `case " $* " in *" backup "*)
      ${commandPath('restic')} "$@" || exit
      for pack in "$2"/data/*/*; do chmod u+w "$pack"; printf X | dd of="$pack" conv=notrunc status=none; done
      exit 0;;
    esac`
    const { exitCode, stdout } = bench(plantProgram(damage), 'first')
    expect(exitCode).toBe(1)
    expect(stdout).toContain('| does not count |')
  })

  test('what cannot be finished or restores something else does not count, and leaves the other cases their figures', () => {
    const faults = `case " $* " in
      *" restore "*)
        ${commandPath('restic')} "$@" || exit
        while [ $# -gt 1 ]; do shift; done
        find "$1" -name shop.sql -exec truncate -s 10 {} +
        exit 0;;
      *" forget "*) echo no forget >&2; exit 1;;
    esac`
    const { exitCode, stdout } = bench(plantProgram(faults), 'large-first,large-restore,prune')
    expect(exitCode).toBe(1)
    expect(stdout).toMatch(/\| first backup, the large files alone \|.* MB \| {2}\|/)
    expect(stdout).not.toContain('restic restored something else')
    expect(stdout).toContain('- large-restore: holdfast restored something else')
    expect(stdout).toMatch(/- prune: holdfast forget .*no forget/)
    expect(stdout.match(/\| does not count \|/g)).toHaveLength(1)
  })
})

test('an unknown case or a program that does not run is said at once', () => {
  expect(bench('restic', 'frist').stderr).toContain('there is no case frist')
  expect(bench('/nowhere/holdfast', 'first').stderr).toContain('`/nowhere/holdfast version` does not run')
  expect(existsSync(join(scratch, 'tree'))).toBe(false)
})
