/**
 * `npm run demo`: on a scratch folder, with no configuration, backs a tree up, destroys part of it, restores it, and proves byte by byte
 * that everything is back. Prints what it did, how long it took and the commands; leaves nothing behind. `--program PATH` does the same
 * with another program that takes restic's commands, `--scale F` with a smaller or larger tree.
 */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { findDifference } from '../bench/compare/equal.ts'
import { planTree, type TreePlan } from '../bench/tree/plan.ts'
import { writeTree } from '../bench/tree/write.ts'
import { writeAttribute } from '../src/engine/posix/extended-attributes.ts'
import { utf8 } from '../src/lib/bytes.ts'
import { monotonicMilliseconds } from '../src/lib/clock.ts'
import { HoldfastError, isHoldfastError, systemErrorCode } from '../src/lib/errors.ts'
import { randomBytes } from '../src/lib/random.ts'

const PASSWORD = 'only for this demonstration'

const { values } = parseArgs({
  options: {
    program: { type: 'string', default: join(import.meta.dirname, '../bin/holdfast') },
    scale: { type: 'string', default: '0.1' },
  },
})

const scratch = mkdtempSync(join(tmpdir(), 'holdfast-demo-'))
const clean = (): void => rmSync(scratch, { recursive: true, force: true, maxRetries: 5 })
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    clean()
    process.exit(130)
  })
}
const size = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`

try {
  await main(join(scratch, 'tree'))
} catch (error) {
  console.error(`\nThe demonstration FAILED: ${error instanceof Error ? error.message : error}`)
  process.exitCode = 1
} finally {
  clean()
}

async function main(root: string): Promise<void> {
  console.log(`Holdfast in a scratch folder, ${scratch}\n`)
  const plan = planTree({ scale: Number(values.scale) })
  writeTree(plan, root)
  const attributes = addAttributes(plan, root)
  writeFileSync(join(scratch, 'password'), PASSWORD, { mode: 0o600 })
  // The judge of the restore: a copy that Holdfast never sees.
  const copied = spawnSync('cp', ['-a', root, join(scratch, 'untouched')], { encoding: 'utf8' })
  if (copied.status !== 0) throw new Error(`cannot copy the tree: ${copied.stderr}`)
  console.log(
    `A tree of ${plan.files.length} files and ${size(plan.sizeBytes)}: sources, mail, logs, programs, photos, ` +
      `a database dump, a disk image, links${attributes ? ', extended attributes' : ''}.`,
  )

  await holdfast(['init'])
  const backupMs = await holdfast(['backup', 'tree'])
  const storedBytes = sizeOf(join(scratch, 'repository'))
  const againMs = await holdfast(['backup', 'tree'])

  const damage = destroy(plan, root)
  if (findDifference(join(scratch, 'untouched'), root) === undefined)
    throw new Error('nothing was destroyed, so nothing can be proved')
  console.log(`\nDisaster: ${damage}.\n`)

  const restoreMs = await holdfast(['restore', 'latest', '--target', '.'])
  const difference = findDifference(join(scratch, 'untouched'), root)
  if (difference !== undefined) throw new Error(`after the restore ${difference}`)
  const checkMs = await holdfast(['check', '--read-data'])

  console.log(`
Proved: after the restore all ${plan.files.length} files are equal to the originals, byte by byte, with their modes,
owners, times, links and extended attributes; and every byte in the repository was read again and is right.

  first backup       ${rate(backupMs, plan.sizeBytes)}
  backup again       ${rate(againMs)}   nothing had changed
  restore (RTO)      ${rate(restoreMs, plan.sizeBytes)}
  check of all data  ${rate(checkMs, storedBytes)}
  stored             ${size(storedBytes)} for ${size(plan.sizeBytes)}, encrypted and deduplicated

The repository is in restic's format: restic itself could have restored it. The scratch folder is deleted.`)
}

/** Runs a command as a person would, in the scratch folder, and prints it; returns milliseconds. */
async function holdfast(args: readonly string[]): Promise<number> {
  const location = ['-r', 'repository', '--password-file', 'password']
  console.log(`$ holdfast ${[...location, ...args].join(' ')}`)
  const started = monotonicMilliseconds()
  const child = spawn(values.program, [...location, ...args], { cwd: scratch, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data: Buffer) => {
      output += data.toString()
    })
  }
  const code = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve))
  if (code !== 0) throw new Error(`holdfast ${args[0]} ended with ${code}:\n${output}`)
  return monotonicMilliseconds() - started
}

/** Extended attributes on some files; false where the file system or this machine cannot keep them. */
function addAttributes(plan: TreePlan, root: string): boolean {
  try {
    for (const file of plan.files.slice(0, 50)) {
      writeAttribute(utf8(join(root, file.path)), { name: 'user.origin', value: utf8(`about ${file.path}`) })
    }
    return true
  } catch (error) {
    if (isHoldfastError(error, 'HF_UNSUPPORTED') || systemErrorCode(error) === 'ENOTSUP') return false
    throw new HoldfastError('HF_INTERNAL', `cannot set attributes in ${root}`, { cause: error })
  }
}

/** What happens on bad days: folders deleted, files overwritten, files cut off, permissions lost. */
function destroy(plan: TreePlan, root: string): string {
  for (const folder of ['documents', 'mail', 'photos']) rmSync(join(root, folder), { recursive: true })
  const left = plan.files.filter((file) => !/^(documents|mail|photos)\//.test(file.path))
  const encrypted = left.filter((_, i) => i % 10 === 0)
  for (const file of encrypted) writeFileSync(join(root, file.path), randomBytes(Math.min(file.sizeBytes + 16, 65_536)))
  const cut = left.filter((_, i) => i % 10 === 5)
  for (const file of cut) truncateSync(join(root, file.path), file.sizeBytes >> 1)
  return `${plan.files.length - left.length} files deleted, ${encrypted.length} overwritten, ${cut.length} cut in half`
}

function sizeOf(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0)
}

function rate(milliseconds: number, bytes?: number): string {
  const seconds = `${(milliseconds / 1000).toFixed(2)} s`.padStart(8)
  return bytes === undefined ? seconds : `${seconds}   ${(bytes / 1e3 / milliseconds).toFixed(0)} MB/s`
}
