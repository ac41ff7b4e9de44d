import { appendFileSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { contentPieces } from './content.ts'
import type { PlannedFile, TreePlan } from './plan.ts'
import { createRandom } from './random.ts'
import { setFolderTime, writePlannedFile } from './write.ts'

export interface TreeChange {
  readonly edited: readonly PlannedFile[]
  readonly removed: readonly PlannedFile[]
  readonly added: readonly PlannedFile[]
}

const EDITED_SHARE = 0.01
/** Relative to the edited ones. */
const REMOVED_PART = 0.1
const ADDED_PART = 0.1
const TEN_WEEKS_SECONDS = 6_048_000

/**
 * What a day of work number `day` does: one file in a hundred (or another `share`) is edited, a tenth as many are removed and added.
 * The two large files stay (they have measurements of their own). The same plan, day and share give the same change.
 */
export function planChange(plan: TreePlan, day: number, share: number = EDITED_SHARE): TreeChange {
  const random = createRandom(day, 0x64617973)
  const kept = new Set([...plan.largeFiles.map((file) => file.path), ...plan.hardLinks.map((link) => link.target)])
  const edited: PlannedFile[] = []
  const removed: PlannedFile[] = []
  const added: PlannedFile[] = []
  for (const file of plan.files) {
    if (kept.has(file.path)) continue
    const draw = random.fraction()
    if (draw < share) edited.push(file)
    else if (draw < share * (1 + REMOVED_PART)) removed.push(file)
    else if (draw < share * (1 + REMOVED_PART + ADDED_PART)) {
      added.push({
        ...file,
        path: `${file.path}.new-${day}`,
        seed: random.next(),
        modifiedSeconds: file.modifiedSeconds + TEN_WEEKS_SECONDS,
      })
    }
  }
  return { edited, removed, added }
}

/** Carries out a planned change on the tree in `root`, which must hold the files as planned. */
export function applyChange(change: TreeChange, root: string, day: number): void {
  change.edited.forEach((file, i) => {
    const path = join(root, file.path)
    const insertion = firstPiece({
      ...file,
      sizeBytes: Math.max(40, Math.min(2000, file.sizeBytes >> 4)),
      seed: file.seed + day,
    })
    // Of five edits three are somewhere inside, one at the end, one a new version of the whole.
    if (i % 5 < 3) {
      const before = readFileSync(path)
      const middle = Math.floor(before.length * 0.4)
      writeFileSync(path, Buffer.concat([before.subarray(0, middle), insertion, before.subarray(middle)]))
    } else if (i % 5 === 3) {
      appendFileSync(path, insertion)
    } else {
      writePlannedFile({ ...file, seed: file.seed + day }, root)
    }
    const seconds = file.modifiedSeconds + TEN_WEEKS_SECONDS + day
    utimesSync(path, seconds, seconds)
  })
  for (const file of change.removed) rmSync(join(root, file.path))
  for (const file of change.added) writePlannedFile(file, root)
}

/** Puts the tree in `root` back to what was planned, folder times included; right too after an applyChange that was cut off. */
export function revertChange(change: TreeChange, root: string): void {
  const touched = [...change.edited, ...change.removed, ...change.added]
  for (const file of [...change.edited, ...change.removed]) writePlannedFile(file, root)
  for (const file of change.added) rmSync(join(root, file.path), { force: true })
  for (const folder of new Set(touched.map((file) => dirname(file.path)))) setFolderTime(join(root, folder))
}

function firstPiece(file: PlannedFile): Uint8Array {
  for (const piece of contentPieces(file.kind, file.sizeBytes, file.seed)) return piece
  return new Uint8Array()
}
