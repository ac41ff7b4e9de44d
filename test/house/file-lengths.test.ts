import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'

const script = join(import.meta.dirname, '../../scripts/check-file-lengths.ts')

let scratch: string
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'holdfast-lengths-'))
})
afterEach(() => {
  rmSync(scratch, { recursive: true, force: true })
})

function plant(path: string, lines: number): void {
  mkdirSync(dirname(join(scratch, path)), { recursive: true })
  writeFileSync(join(scratch, path), 'x\n'.repeat(lines))
}

function check(root: string): { readonly exitCode: number | null; readonly output: string } {
  const result = spawnSync(process.execPath, [script, root], { encoding: 'utf8' })
  return { exitCode: result.status, output: result.stdout + result.stderr }
}

test('a source file of more than 600 lines fails, one of more than 400 is mentioned', () => {
  plant('src/lib/short.ts', 400)
  plant('src/lib/long.ts', 401)
  plant('src/lib/limit.ts', 600)
  expect(check(scratch).exitCode).toBe(0)
  plant('src/lib/giant.ts', 601)
  const { exitCode, output } = check(scratch)
  expect(exitCode).toBe(1)
  expect(output).toContain('src/lib/giant.ts: 601 lines, 600 are allowed')
  expect(output).toContain('src/lib/long.ts: 401 lines')
  expect(output).not.toContain('short.ts')
})

test('tests, generated and foreign files may be as long as they like', () => {
  for (const path of ['src/lib/a.test.ts', 'node_modules/a/src/a.ts', 'dist/a.ts', 'src/lib/a.json']) plant(path, 2000)
  expect(check(scratch).exitCode).toBe(0)
})

test('the project keeps to it', () => {
  expect(check(join(import.meta.dirname, '../..'))).toMatchObject({ exitCode: 0 })
})
