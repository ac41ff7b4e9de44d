import { cpSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { changeTree, ensureTree } from '../tree/keep.ts'
import type { TreePlan } from '../tree/plan.ts'
import type { Measurement } from './measure.ts'
import type { Tool } from './tools.ts'
import { readIntoMemory } from './warm.ts'
import type { Subject, Workbench } from './workbench.ts'

/** The generated tree a benchmark works on. */
export interface BenchTree {
  readonly root: string
  readonly plan: TreePlan
}

export interface BenchCase {
  readonly title: string
  readonly run: (bench: Workbench, tree: BenchTree) => Promise<void>
}

export type CaseName =
  | 'first'
  | 'unchanged'
  | 'changed'
  | 'restore'
  | 'check'
  | 'large-first'
  | 'large-restore'
  | 'copy'
  | 'copy-unchanged'
  | 'prune'

/** Repositories that copies go to. */
const COPIED = 'copied'

/** Of the small files, each day: enough that forgetting ten days leaves more unused than prune tolerates. */
const PRUNED_DAY_SHARE = 0.03

const whole = (tree: BenchTree): Subject => ({ label: 'tree', paths: [tree.root] })

const largeOnly = (tree: BenchTree): Subject => ({
  label: 'large',
  paths: tree.plan.largeFiles.map((file) => join(tree.root, dirname(file.path))),
})

const smallOnly = (tree: BenchTree): Subject => {
  const large = new Set(tree.plan.largeFiles.map((file) => topFolder(file.path)))
  const folders = new Set(tree.plan.files.map((file) => topFolder(file.path)))
  return {
    label: 'small',
    paths: [...folders].filter((folder) => !large.has(folder)).map((folder) => join(tree.root, folder)),
  }
}

const topFolder = (path: string): string => path.slice(0, path.indexOf('/'))

/** In the order in which they run: later ones use the repositories of earlier ones. */
export const cases: Readonly<Record<CaseName, BenchCase>> = {
  first: { title: 'first backup, mixed tree', run: (bench, tree) => firstBackup(bench, 'first', whole(tree)) },
  unchanged: {
    title: 'backup, nothing changed',
    run: (bench, tree) => unchangedBackup(bench, 'unchanged', whole(tree)),
  },
  changed: { title: 'backup, 1 % of files changed', run: changedBackup },
  restore: {
    title: 'restore everything, many small files',
    run: (bench, tree) => restore(bench, 'restore', whole(tree)),
  },
  check: { title: 'check --read-data', run: (bench, tree) => check(bench, 'check', whole(tree)) },
  copy: { title: 'copy of a snapshot to an empty repository', run: copy },
  'copy-unchanged': { title: 'copy when everything is there', run: copyUnchanged },
  'large-first': {
    title: 'first backup, the large files alone',
    run: (bench, tree) => firstBackup(bench, 'large-first', largeOnly(tree)),
  },
  'large-restore': {
    title: 'restore of the large files alone',
    run: (bench, tree) => restore(bench, 'large-restore', largeOnly(tree)),
  },
  prune: { title: 'prune after forgetting half of 20 snapshots', run: prune },
}

/** The cases that make sense on a folder of somebody's own, which must not be changed. */
export async function runOnFolder(bench: Workbench, folder: string): Promise<void> {
  const subject: Subject = { label: 'extra', paths: [folder] }
  await firstBackup(bench, 'extra-first', subject)
  await unchangedBackup(bench, 'extra-unchanged', subject)
  await restore(bench, 'extra-restore', subject)
  await check(bench, 'extra-check', subject)
}

async function firstBackup(bench: Workbench, name: string, subject: Subject): Promise<void> {
  await bench.inTurn(name, async (tool) => {
    await bench.initialise(tool, subject.label)
    readIntoMemory(subject.paths)
    return bench.run(tool, subject.label, ['backup', '--quiet', ...subject.paths])
  })
  bench.recordSizes(subject)
  await bench.verify(name, subject.label)
}

async function unchangedBackup(bench: Workbench, name: string, subject: Subject): Promise<void> {
  await bench.ensureBackedUp(subject)
  await bench.inTurn(name, (tool) => {
    readIntoMemory(subject.paths)
    return bench.run(tool, subject.label, ['backup', '--quiet', ...subject.paths])
  })
  await bench.verify(name, subject.label)
}

async function changedBackup(bench: Workbench, tree: BenchTree): Promise<void> {
  const subject = whole(tree)
  await bench.ensureBackedUp(subject)
  const backup = ['backup', '--quiet', ...subject.paths]
  let prepared = -1
  await bench.inTurn('changed', async (tool, round) => {
    if (round !== prepared) {
      // Both know the tree as it was; then the same work is done for both.
      ensureTree(tree.plan, tree.root)
      for (const each of bench.tools) await bench.mustRun(each, subject.label, backup)
      changeTree(tree.plan, tree.root, round + 1)
      prepared = round
    }
    readIntoMemory(subject.paths)
    return bench.run(tool, subject.label, backup)
  })
  ensureTree(tree.plan, tree.root)
  await bench.verify('changed', subject.label)
}

async function restore(bench: Workbench, name: string, subject: Subject): Promise<void> {
  await bench.ensureBackedUp(subject)
  // The newest snapshot has to be of what is there now, to compare with.
  for (const tool of bench.tools) await bench.mustRun(tool, subject.label, ['backup', '--quiet', ...subject.paths])
  const targets: string[] = []
  await bench.inTurn(name, async (tool, round) => {
    const target = bench.folderFor('restored', name, tool.name, round)
    targets.push(target)
    readIntoMemory([bench.repository(tool, subject.label)])
    const measured = await bench.run(tool, subject.label, ['restore', 'latest', '--quiet', '--target', target])
    if (round === 0 && measured.exitCode === 0) bench.compareRestored(name, tool, subject, target)
    return measured
  })
  // Not between the runs: a restore right after the deletion of as many files is several times slower, in the kernel.
  for (const target of targets) rmSync(target, { recursive: true, force: true })
  await bench.verify(name, subject.label)
}

async function check(bench: Workbench, name: string, subject: Subject): Promise<void> {
  await bench.ensureBackedUp(subject)
  await bench.inTurn(name, (tool) => {
    readIntoMemory([bench.repository(tool, subject.label)])
    return bench.run(tool, subject.label, ['check', '--read-data', '--quiet'])
  })
  await bench.verify(name, subject.label)
}

/** Each tool copies what it has backed up itself. */
async function copy(bench: Workbench, tree: BenchTree): Promise<void> {
  const subject = whole(tree)
  await bench.ensureBackedUp(subject)
  await bench.inTurn('copy', async (tool) => {
    await bench.initialise(tool, COPIED)
    return await runCopy(bench, tool, subject)
  })
  await bench.verify('copy', COPIED)
}

async function copyUnchanged(bench: Workbench, tree: BenchTree): Promise<void> {
  const subject = whole(tree)
  await bench.ensureBackedUp(subject)
  for (const tool of bench.tools) {
    await bench.initialise(tool, COPIED)
    const { exitCode, stderr } = await runCopy(bench, tool, subject)
    if (exitCode !== 0) throw new Error(`${tool.name} copy: ${stderr}`)
  }
  await bench.inTurn('copy-unchanged', (tool) => runCopy(bench, tool, subject))
  await bench.verify('copy-unchanged', COPIED)
}

function runCopy(bench: Workbench, tool: Tool, { label }: Subject): Promise<Measurement> {
  const from = bench.repository(tool, label)
  readIntoMemory([from])
  return bench.run(tool, COPIED, ['copy', '--quiet', '--from-repo', from, '--from-password-file', bench.passwordFile])
}

async function prune(bench: Workbench, tree: BenchTree): Promise<void> {
  const subject = smallOnly(tree)
  for (const tool of bench.tools) await bench.initialise(tool, subject.label)
  for (let day = 1; day <= bench.snapshots; day++) {
    changeTree(tree.plan, tree.root, day, PRUNED_DAY_SHARE)
    for (const tool of bench.tools) await bench.mustRun(tool, subject.label, ['backup', '--quiet', ...subject.paths])
    ensureTree(tree.plan, tree.root)
  }
  for (const tool of bench.tools) {
    const snapshots: { id: string; time: string }[] = JSON.parse(
      await bench.mustRun(tool, subject.label, ['snapshots', '--json']),
    )
    const oldest = snapshots.sort((a, b) => (a.time < b.time ? -1 : 1)).slice(0, bench.snapshots >> 1)
    await bench.mustRun(tool, subject.label, ['forget', '--quiet', ...oldest.map((snapshot) => snapshot.id)])
  }
  await bench.inTurn('prune', (tool, round) => {
    const label = `${subject.label}-${round}`
    cpSync(bench.repository(tool, subject.label), bench.repository(tool, label), { recursive: true })
    return bench.run(tool, label, ['prune', '--quiet'])
  })
  for (let round = 0; round < bench.rounds; round++) {
    if (round === 0) await bench.verify('prune', `${subject.label}-${round}`)
    for (const tool of bench.tools)
      rmSync(bench.repository(tool, `${subject.label}-${round}`), { recursive: true, force: true })
  }
}
