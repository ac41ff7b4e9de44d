/**
 * Records tree blobs as restic writes them: node scripts/record-golden-trees.ts RESTIC...
 *
 * Backs up a folder of odd files with each given restic program and keeps the raw bytes of its trees in
 * `test/golden/trees/<version>/`, beside `expected.json` with what the system says about the files. Needs root (devices) and
 * setfattr.
 */
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeOddFolder } from '../test/support/odd-folder.ts'
import { readTreeBlobs, resticVersion, runRestic } from '../test/support/restic-trees.ts'

const programs = process.argv.slice(2)
if (programs.length === 0) throw new Error('usage: node scripts/record-golden-trees.ts RESTIC...')

for (const program of programs) {
  const scratch = fs.mkdtempSync(join(tmpdir(), 'golden-trees-'))
  try {
    const source = join(scratch, 'odd')
    const expected = makeOddFolder(source)
    const repository = join(scratch, 'repository')
    runRestic(program, repository, ['init'])
    runRestic(program, repository, ['backup', '--host', 'golden', '.'], source)
    const target = join(import.meta.dirname, '../test/golden/trees', resticVersion(program))
    fs.rmSync(target, { recursive: true, force: true })
    fs.mkdirSync(target, { recursive: true })
    for (const [id, bytes] of readTreeBlobs(program, repository)) fs.writeFileSync(join(target, `${id}.json`), bytes)
    fs.writeFileSync(join(target, 'expected.json'), `${JSON.stringify(expected, null, 1)}\n`)
    console.log(`${target}: ${execFileSync('ls', [target], { encoding: 'utf8' }).trim().split('\n').length} files`)
  } finally {
    fs.rmSync(scratch, { recursive: true, force: true })
  }
}
