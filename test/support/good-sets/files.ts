import { linkSync, mkdirSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Dice } from './dice.ts'

const SIZES = [0, 1, 100, 4096, 70_000, 600_000, 2_500_000]
const MODES = [0o600, 0o644, 0o755, 0o400, 0o4755]

/** Makes a tree in the folder: files of all sizes and modes, names of any sign, links of both sorts, holes, empty folders. */
export function writeFileSet(dice: Dice, folder: string, depth = 3): void {
  const made: string[] = []
  for (let i = 0, count = dice.between(1, 12); i < count; i++) {
    const path = join(folder, `${dice.word(30).replaceAll('/', '_')}${i}`)
    const sort = dice.below(10)
    if (sort < 2 && depth > 0) {
      mkdirSync(path, { mode: dice.pick([0o700, 0o755]) })
      if (!dice.oneIn(4)) writeFileSet(dice, path, depth - 1)
    } else if (sort === 2) symlinkSync(dice.pick(['nowhere', '/etc/passwd', '..', dice.word()]), path)
    else if (sort === 3 && made.length > 0) linkSync(dice.pick(made), path)
    else {
      const size = dice.pick(SIZES)
      const pattern = dice.bytes(dice.between(1, 5000))
      writeFileSync(path, Buffer.alloc(size, pattern), { mode: dice.pick(MODES) })
      if (dice.oneIn(6)) truncateSync(path, size + dice.below(3_000_000))
      utimesSync(path, dice.below(2e9), dice.below(2e9) + 0.25)
      made.push(path)
    }
  }
}
