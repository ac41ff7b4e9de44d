import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { lacks } from '../../test/support/requirements.ts'
import { scratchFolder } from '../../test/support/test-repository.ts'
import { describeFolder } from './restore/testing.ts'

const entrance = join(import.meta.dirname, 'index.ts')

/** The example in the description of the module, as a file of its own would hold it. */
function example(): string {
  const [, code] = /^ \* ```ts\n(.*?)^ \* ```$/ms.exec(readFileSync(entrance, 'utf8'))!
  return code!.replaceAll(/^ \* ?/gm, '')
}

describe('the engine', () => {
  test.skipIf(lacks('restic'))('does what the example in its description says', () => {
    using scratch = scratchFolder()
    const [repository, folder, target] = [scratch.join('repository'), scratch.join('data'), scratch.join('restored')]
    mkdirSync(`${folder}/sub`, { recursive: true })
    writeFileSync(`${folder}/file`, 'content')
    writeFileSync(`${folder}/sub/other`, 'more content', { mode: 0o640 })
    symlinkSync('sub/other', `${folder}/link`)
    const program = scratch.join('example.ts')
    writeFileSync(program, example().replace("'holdfast/engine'", JSON.stringify(entrance)))
    const { status, stdout, stderr } = spawnSync(process.execPath, [program, repository, folder, target], {
      encoding: 'utf8',
    })
    expect([status, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(
      new RegExp(`^[0-9a-f]{64} 20.* \\[ '${folder}' \\] \\[ 'example' \\]\\n.* files, 19 bytes\\n$`),
    )
    expect(describeFolder(`${target}${folder}`)).toEqual(describeFolder(folder))
    const check = spawnSync('restic', ['-r', repository, '--no-cache', 'check', '--read-data'], {
      env: { ...process.env, RESTIC_PASSWORD: 'a sentence that nobody guesses' },
    })
    expect(check.status).toBe(0)
  })

  test('offers nothing under two names and nothing undefined', async () => {
    const engine = await import('./index.ts')
    const values = Object.values(engine)
    expect(values).not.toContain(undefined)
    expect(new Set(values).size).toBe(values.length)
    expect(values.length).toBeGreaterThan(60)
  })
})
