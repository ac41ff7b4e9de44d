import {
  chmodSync,
  closeSync,
  fchmodSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  openSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { contentPieces } from './content.ts'
import type { PlannedFile, TreePlan } from './plan.ts'

const FOLDER_SECONDS = 1_700_000_000

/** Writes the tree into the new folder `root`: bytes, modes, links and modification times are all of the plan. */
export function writeTree(plan: TreePlan, root: string): void {
  const folders = new Set<string>()
  const ensureFolder = (path: string): void => {
    if (folders.has(path)) return
    if (path !== '.') ensureFolder(dirname(path))
    mkdirSync(join(root, path))
    chmodSync(join(root, path), 0o755) // whatever the umask
    folders.add(path)
  }
  ensureFolder('.')
  for (const file of plan.files) {
    ensureFolder(dirname(file.path))
    writePlannedFile(file, root)
  }
  for (const link of plan.symbolicLinks) {
    ensureFolder(dirname(link.path))
    symlinkSync(link.target, join(root, link.path))
    lutimesSync(join(root, link.path), FOLDER_SECONDS, FOLDER_SECONDS)
  }
  for (const link of plan.hardLinks) {
    ensureFolder(dirname(link.path))
    linkSync(join(root, link.target), join(root, link.path))
  }
  // The parents come first in the set, and writing into a folder changes its time.
  for (const folder of [...folders].reverse()) setFolderTime(join(root, folder))
}

/** All folders of a tree have the same time. */
export function setFolderTime(path: string): void {
  utimesSync(path, FOLDER_SECONDS, FOLDER_SECONDS)
}

/** Writes one file as planned, in place of whatever is there. */
export function writePlannedFile(file: PlannedFile, root: string): void {
  const path = join(root, file.path)
  rmSync(path, { force: true })
  const descriptor = openSync(path, 'wx', file.mode)
  try {
    fchmodSync(descriptor, file.mode) // whatever the umask
    for (const piece of contentPieces(file.kind, file.sizeBytes, file.seed)) writeAll(descriptor, piece)
  } finally {
    closeSync(descriptor)
  }
  utimesSync(path, file.modifiedSeconds, file.modifiedSeconds)
}

function writeAll(descriptor: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at)
}
