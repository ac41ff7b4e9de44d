import { execFile } from 'node:child_process'
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, describe, expect, test } from 'vitest'
import { errorCodes } from '../../src/lib/errors.ts'

const script = join(import.meta.dirname, '..', '..', 'scripts', 'generate-reference.ts')
const folder = mkdtempSync(join(tmpdir(), 'holdfast-reference-'))
afterAll(() => rmSync(folder, { recursive: true }))

const generate = (...args: readonly string[]) => promisify(execFile)(process.execPath, [script, ...args])

describe('the reference', () => {
  test('is made from the source, and a change of a page or a missing page is noticed', async () => {
    await expect(generate('--check', folder)).rejects.toMatchObject({ code: 1 })
    await generate(folder)
    expect((await generate('--check', folder)).stdout).toContain('0 to be made again')
    appendFileSync(join(folder, 'errors.md'), 'x')
    await expect(generate('--check', folder)).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining('errors.md is not what the source says'),
    })
  })

  test('tells every error code, the options of every command with their variables, and what is refused', async () => {
    await generate(folder)
    const read = (name: string): string => readFileSync(join(folder, name), 'utf8')
    for (const code of Object.keys(errorCodes)) expect(read('errors.md')).toContain(`| \`${code}\` |`)
    for (const part of [
      '`-r, --repo repository`',
      '`HOLDFAST_REPOSITORY`, `RESTIC_REPOSITORY`',
      '## version',
      '`mount`',
      '`--insecure-kdf`',
    ])
      expect(read('cli.md')).toContain(part)
    expect(read('exit-codes.md')).toContain('| `12` | The password is wrong.')
  })
})
