import { readFileSync } from 'node:fs'
import { relative } from 'node:path'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Seconds that test files took on two processors, those that took five and more: `scripts/record-durations.ts` writes it. */
const recorded = new Map<string, number>(
  Object.entries(JSON.parse(readFileSync(new URL('../durations.json', import.meta.url), 'utf8'))),
)

/** Starts the longest files first, so that none of them runs alone at the end; on a fresh clone, too, where nothing has been measured yet. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const paths = files.map(({ moduleId }) => relative(this.ctx.config.root, moduleId))
    const order = longestFirst(paths)
    return order.map((at) => files[at]!)
  }
}

/** Positions in `paths`, by recorded seconds. Files without a record come after those that have one, in their order. */
export function longestFirst(
  paths: readonly string[],
  seconds: ReadonlyMap<string, number> = recorded,
): readonly number[] {
  const of = (at: number): number => seconds.get(paths[at]!) ?? 0
  return paths.map((_, at) => at).sort((a, b) => of(b) - of(a))
}
