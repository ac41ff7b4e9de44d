import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { applyChange, planChange, revertChange, type TreeChange } from './change.ts'
import type { TreePlan } from './plan.ts'
import { writeTree } from './write.ts'

interface Day {
  readonly day: number
  readonly share: number | undefined
}

/** What is known about a tree on disk, in a file beside it. */
interface TreeState {
  readonly identity: string
  /** What was done on it since it was written; null while it is being written. */
  readonly days: readonly Day[] | null
}

/** Makes sure that the tree of `plan` lies in `root`, unchanged: writes it, puts it back, or finds it right. */
export function ensureTree(plan: TreePlan, root: string): 'written' | 'reverted' | 'found' {
  const state = readState(root)
  if (state === undefined && existsSync(root)) {
    throw new Error(`${root} exists and is not a tree of this generator: choose another folder, or delete it`)
  }
  if (state?.identity === plan.identity && state.days !== null && existsSync(root)) {
    for (const { day, share } of state.days) revertChange(planChange(plan, day, share), root)
    if (state.days.length > 0) writeState(root, { identity: plan.identity, days: [] })
    return state.days.length > 0 ? 'reverted' : 'found'
  }
  mkdirSync(dirname(root), { recursive: true })
  writeState(root, { identity: plan.identity, days: null })
  rmSync(root, { recursive: true, force: true })
  writeTree(plan, root)
  writeState(root, { identity: plan.identity, days: [] })
  return 'written'
}

/** Does the work of `day` on a clean tree and notes it, so that ensureTree can undo it. */
export function changeTree(plan: TreePlan, root: string, day: number, share?: number): TreeChange {
  const change = planChange(plan, day, share)
  writeState(root, { identity: plan.identity, days: [{ day, share }] })
  applyChange(change, root, day)
  return change
}

/** Deletes the tree and what is known about it. */
export function removeTree(root: string): void {
  rmSync(root, { recursive: true, force: true })
  rmSync(stateFile(root), { force: true })
}

const stateFile = (root: string): string => `${root}.state.json`

function readState(root: string): TreeState | undefined {
  return existsSync(stateFile(root)) ? JSON.parse(readFileSync(stateFile(root), 'utf8')) : undefined
}

function writeState(root: string, state: TreeState): void {
  writeFileSync(stateFile(root), JSON.stringify(state))
}
