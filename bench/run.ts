/** `npm run bench -- OPTIONS`: Holdfast against restic on the same tree, in turn; see `--help`. */
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { systemClock } from '../src/lib/clock.ts'
import { type BenchTree, type CaseName, cases, runOnFolder } from './compare/cases.ts'
import { measureFloors } from './compare/floors.ts'
import { describeMachine } from './compare/machine.ts'
import { publish } from './compare/publish.ts'
import { type BenchResult, toMarkdown } from './compare/report.ts'
import { settle } from './compare/settle.ts'
import { profileFirstBackup } from './compare/stages.ts'
import { findTool } from './compare/tools.ts'
import { Workbench } from './compare/workbench.ts'
import { ensureTree } from './tree/keep.ts'
import { planTree } from './tree/plan.ts'

const here = import.meta.dirname
const allCases = Object.keys(cases) as CaseName[]

const usage = `Usage: npm run bench -- [options]

Runs Holdfast and restic in turn on the same tree and prints medians and ratios. Needs Linux, a quiet machine and about 12 GB.

  --cases A,B      some of: ${allCases.join(', ')} (all)
  --rounds N       runs of each tool in each case (3)
  --scale F        size of the tree, relative to 60,000 files and 2 GiB (1)
  --large F        size of its two large files once more (1)
  --seed N         another tree of the same shape (1)
  --extra FOLDER   a folder of your own besides; it is only read
  --snapshots N    of the repository that is pruned (20)
  --no-wait        do not wait for the disk to come to rest before each run: quick and noisy
  --restic PATH    the restic to compare with (RESTIC, else the one on PATH)
  --holdfast PATH  the program to measure (bin/holdfast of this checkout)
  --work FOLDER    where trees and repositories lie (bench/work)
  --save NAME      write bench/results/DATE-NAME.json and .md
`

const { values } = parseArgs({
  options: {
    cases: { type: 'string' },
    rounds: { type: 'string', default: '3' },
    scale: { type: 'string', default: '1' },
    large: { type: 'string', default: '1' },
    seed: { type: 'string', default: '1' },
    extra: { type: 'string' },
    snapshots: { type: 'string', default: '20' },
    'no-wait': { type: 'boolean', default: false },
    restic: { type: 'string', default: process.env.RESTIC ?? 'restic' },
    holdfast: { type: 'string', default: join(here, '../bin/holdfast') },
    work: { type: 'string', default: join(here, 'work') },
    save: { type: 'string' },
    help: { type: 'boolean' },
  },
})

if (values.help) process.stdout.write(usage)
else await main()

async function main(): Promise<void> {
  const chosen = (values.cases?.split(',') ?? allCases) as CaseName[]
  const unknown = chosen.find((name) => !(name in cases))
  if (unknown !== undefined) throw new Error(`there is no case ${unknown}: ${allCases.join(', ')}`)
  const say = (text: string): void => console.error(text)
  const work = resolve(values.work)
  const tools = [findTool('restic', values.restic), findTool('holdfast', values.holdfast)] as const
  const tree: BenchTree = {
    root: join(work, 'tree'),
    plan: planTree({ seed: Number(values.seed), scale: Number(values.scale), largeScale: Number(values.large) }),
  }
  say(
    `tree ${ensureTree(tree.plan, tree.root)}: ${tree.plan.files.length} files, ${(tree.plan.sizeBytes / 2 ** 20).toFixed(0)} MiB`,
  )
  const machine = describeMachine(work)
  const bench = new Workbench({
    folder: join(work, 'compare'),
    tools,
    rounds: Number(values.rounds),
    snapshots: Number(values.snapshots),
    waits: !values['no-wait'],
    say,
  })
  try {
    await settle()
    // The copy stays until the end: for minutes after the deletion of as many files ext4 creates others several times slower.
    const floors = await measureFloors(tree.root, bench.folderFor('copy'))
    for (const name of allCases) {
      if (!chosen.includes(name)) continue
      // A case that cannot be finished does not take the figures of the others with it.
      await cases[name].run(bench, tree).catch((error: Error) => bench.object(name, error.message))
    }
    if (values.extra !== undefined) await runOnFolder(bench, resolve(values.extra))
    const profiled = chosen.includes('first') ? await profileFirstBackup(bench, [tree.root]) : undefined
    const result: BenchResult = {
      name: values.save ?? 'benchmark',
      date: new Date(Number(systemClock.now() / 1_000_000n)).toISOString(),
      machine,
      versions: { restic: tools[0].version, holdfast: tools[1].version },
      tree: `${tree.plan.identity}, ${tree.plan.files.length} files, ${(tree.plan.sizeBytes / 2 ** 20).toFixed(0)} MiB`,
      titles: Object.fromEntries(allCases.map((name) => [name, cases[name].title])),
      runs: bench.runs,
      sizes: bench.sizes,
      floors,
      stages: profiled,
      objections: bench.objections,
    }
    report(result)
  } finally {
    bench.close()
  }
}

function report(result: BenchResult): void {
  publish(result, toMarkdown(result), values.save)
  if (result.objections.length > 0) process.exitCode = 1
}
