/** `node scripts/check-file-lengths.ts [ROOT]`: fails on source files of more than 600 lines, warns of those over 400. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { projectFiles } from './project-files.ts'

const LONG_LINES = 400
const TOO_LONG_LINES = 600

const root = process.argv[2] ?? join(import.meta.dirname, '..')
const lengths = projectFiles(root)
  .filter((path) => /^(src|bench|scripts|test|web)\/.*\.(ts|tsx)$/.test(path))
  .map((path) => ({ path, lines: readFileSync(join(root, path), 'utf8').split('\n').length - 1 }))
  .sort((a, b) => b.lines - a.lines)
// A long list of cases does not make a test hard to read; a long module is hard to read whatever it says.
const tooLong = lengths.filter(({ path, lines }) => lines > TOO_LONG_LINES && !path.endsWith('.test.ts'))
const long = lengths.filter(
  ({ path, lines }) => lines > LONG_LINES && lines <= TOO_LONG_LINES && !path.endsWith('.test.ts'),
)

for (const { path, lines } of tooLong) console.error(`${path}: ${lines} lines, ${TOO_LONG_LINES} are allowed: split it`)
for (const { path, lines } of long) console.warn(`${path}: ${lines} lines, ${LONG_LINES} are the aim`)
console.log(`${lengths.length} source files, ${tooLong.length} too long, ${long.length} long`)
process.exitCode = tooLong.length > 0 ? 1 : 0
