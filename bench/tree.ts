/**
 * The benchmark's tree: `node bench/tree.ts FOLDER` writes about 2 GiB in 60,000 files, the same bytes every time and everywhere.
 * See bench/tree/ for what is in it.
 */
import { parseArgs } from 'node:util'
import { monotonicMilliseconds } from '../src/lib/clock.ts'
import { ensureTree } from './tree/keep.ts'
import { planTree } from './tree/plan.ts'

const usage = `Usage: node bench/tree.ts FOLDER [--seed N] [--scale F] [--large F]

  --seed N   another tree of the same shape (1)
  --scale F  number of files and size of the large ones, relative to 60,000 files and 2 GiB (1)
  --large F  size of the two large files once more, for a bigger tree of as many files (1)
`

const { values, positionals } = parseArgs({
  options: {
    seed: { type: 'string' },
    scale: { type: 'string' },
    large: { type: 'string' },
    help: { type: 'boolean' },
  },
  allowPositionals: true,
})
const [folder] = positionals
if (values.help || folder === undefined || positionals.length > 1) {
  process.stdout.write(usage)
  process.exitCode = values.help ? 0 : 1
} else {
  const plan = planTree({
    seed: Number(values.seed ?? 1),
    scale: Number(values.scale ?? 1),
    largeScale: Number(values.large ?? 1),
  })
  const started = monotonicMilliseconds()
  const outcome = ensureTree(plan, folder)
  const seconds = (monotonicMilliseconds() - started) / 1000
  console.log(
    `${folder}: ${plan.files.length} files, ${(plan.sizeBytes / 2 ** 20).toFixed(0)} MiB, ` +
      `${plan.symbolicLinks.length} symbolic and ${plan.hardLinks.length} hard links (${plan.identity}): ${outcome} in ${seconds.toFixed(1)} s`,
  )
}
