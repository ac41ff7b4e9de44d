import { spawnSync } from 'node:child_process'
import { rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findDifference } from '../../bench/compare/equal.ts'
import { planTree, type TreePlan } from '../../bench/tree/plan.ts'
import { writeTree } from '../../bench/tree/write.ts'
import { writeAttribute } from '../../src/engine/posix/extended-attributes.ts'
import { utf8 } from '../../src/lib/bytes.ts'
import { HoldfastError, isHoldfastError, systemErrorCode } from '../../src/lib/errors.ts'
import { randomBytes } from '../../src/lib/random.ts'
import { type DemoStage, rate, size, sizeOf } from './stage.ts'

/** Backs a tree up, destroys part of it, restores it, and compares every byte and attribute with a copy that Holdfast never saw. */
export async function demonstrateFiles(stage: DemoStage, scale: number): Promise<void> {
  const { folder } = stage
  const root = join(folder, 'tree')
  const plan = planTree({ scale })
  writeTree(plan, root)
  const attributes = addAttributes(plan, root)
  // The judge of the restore: a copy that Holdfast never sees.
  const copied = spawnSync('cp', ['-a', root, join(folder, 'untouched')], { encoding: 'utf8' })
  if (copied.status !== 0) throw new Error(`cannot copy the tree: ${copied.stderr}`)
  console.log(
    `A tree of ${plan.files.length} files and ${size(plan.sizeBytes)}: sources, mail, logs, programs, photos, ` +
      `a database dump, a disk image, links${attributes ? ', extended attributes' : ''}.`,
  )
  const holdfast = (...args: readonly string[]): Promise<number> =>
    stage.holdfast(['-r', 'repository', '--password-file', 'password', ...args])

  await holdfast('init')
  const backupMs = await holdfast('backup', 'tree')
  const storedBytes = sizeOf(join(folder, 'repository'))
  const againMs = await holdfast('backup', 'tree')

  const damage = destroy(plan, root)
  if (findDifference(join(folder, 'untouched'), root) === undefined)
    throw new Error('nothing was destroyed, so nothing can be proved')
  console.log(`\nDisaster: ${damage}.\n`)

  const restoreMs = await holdfast('restore', 'latest', '--target', '.')
  const difference = findDifference(join(folder, 'untouched'), root)
  if (difference !== undefined) throw new Error(`after the restore ${difference}`)
  const checkMs = await holdfast('check', '--read-data')

  console.log(`
Proved: after the restore all ${plan.files.length} files are equal to the originals, byte by byte, with their modes,
owners, times, links and extended attributes; and every byte in the repository was read again and is right.

  first backup       ${rate(backupMs, plan.sizeBytes)}
  backup again       ${rate(againMs)}   nothing had changed
  restore (RTO)      ${rate(restoreMs, plan.sizeBytes)}
  check of all data  ${rate(checkMs, storedBytes)}
  stored             ${size(storedBytes)} for ${size(plan.sizeBytes)}, encrypted and deduplicated

The repository is in restic's format: restic itself could have restored it.`)
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
