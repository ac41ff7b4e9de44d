/**
 * `npm run demo`: in a scratch folder, with no configuration, makes backups, destroys what they are of, restores it, and proves that
 * everything is back: first of files, then of databases under live writes. Prints what it did, how long it took and the commands; leaves
 * nothing behind. `--scale F` takes a smaller or larger tree, `--part files|databases` one of them; `--program PATH` does the same with
 * another program that takes the same commands.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { demonstrateDatabases } from './demo/databases.ts'
import { demonstrateFiles } from './demo/files.ts'
import { createStage } from './demo/stage.ts'

const PASSWORD = 'only for this demonstration'

const { values } = parseArgs({
  options: {
    program: { type: 'string', default: join(import.meta.dirname, '../bin/holdfast') },
    scale: { type: 'string', default: '0.1' },
    part: { type: 'string', default: 'all' },
  },
})

const scratch = mkdtempSync(join(tmpdir(), 'holdfast-demo-'))
// Servers run as another user when this is root. Whatever else they need for a while goes with the folder.
chmodSync(scratch, 0o711)
process.env.TMPDIR = scratch
const clean = (): void => rmSync(scratch, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 })
const interruption = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => interruption.abort(new Error('interrupted')))

try {
  console.log(`Holdfast in a scratch folder, ${scratch}\n`)
  writeFileSync(join(scratch, 'password'), PASSWORD, { mode: 0o600 })
  const stage = createStage(scratch, values.program, interruption.signal)
  if (values.part !== 'databases') await demonstrateFiles(stage, Number(values.scale))
  if (values.part !== 'files') await demonstrateDatabases(stage, interruption.signal)
  console.log('\nThe scratch folder is deleted.')
} catch (error) {
  if (!interruption.signal.aborted)
    console.error(`\nThe demonstration FAILED: ${error instanceof Error ? error.message : error}`)
  process.exitCode = interruption.signal.aborted ? 130 : 1
} finally {
  clean()
}
