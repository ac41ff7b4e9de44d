import { HoldfastError } from '../../../lib/errors.ts'
import type { DumpSelection } from '../settings.ts'
import { type ClientProgram, type ProgramRun, RunningProgram } from './client-programs.ts'
import { programPattern } from './names.ts'
import { MAX_TOC_BYTES, readToc, type Toc } from './toc.ts'

const FIRST_ATTEMPT_BYTES = 64 * 1024
const GROWTH = 1.5

/** What `pg_dump` is told besides where and in which format. */
export const dumpArguments = (selection: DumpSelection, snapshot: string, lockTimeoutMs: number): readonly string[] => [
  `--snapshot=${snapshot}`,
  `--lock-wait-timeout=${lockTimeoutMs}`,
  '--no-password',
  ...selection.schemas.map((pattern) => `--schema=${programPattern(pattern)}`),
  ...selection.tables.map((pattern) => `--table=${programPattern(pattern)}`),
  ...selection.excludeSchemas.map((pattern) => `--exclude-schema=${programPattern(pattern)}`),
  ...selection.excludeTables.map((pattern) => `--exclude-table=${programPattern(pattern)}`),
  ...selection.excludeTableData.map((pattern) => `--exclude-table-data=${programPattern(pattern)}`),
]

/**
 * Lets `pg_dump` say what a dump consists of and in which order it is restored: in its custom format, written to a pipe, the table of
 * contents stands before the data. When it is complete the program is ended; the data is read otherwise.
 *
 * @throws HoldfastError HF_SOURCE_COMMAND with what the program says
 */
export async function dumpToc(program: ClientProgram, run: ProgramRun): Promise<Toc> {
  await using running = new RunningProgram('pg_dump', program, {
    ...run,
    args: ['--format=custom', '--compress=0', ...run.args],
  })
  const pieces: Buffer[] = []
  let size = 0
  let attempt = FIRST_ATTEMPT_BYTES
  for await (const piece of running.output) {
    pieces.push(piece)
    size += piece.length
    if (size < attempt) continue
    attempt = size * GROWTH
    const toc = readToc(Buffer.concat(pieces))
    if (toc !== undefined) return toc
    if (size > MAX_TOC_BYTES)
      throw new HoldfastError('HF_SOURCE_DAMAGED', 'pg_dump writes a table of contents without end')
  }
  await running.succeed()
  const toc = readToc(Buffer.concat(pieces))
  if (toc === undefined)
    throw new HoldfastError('HF_SOURCE_DAMAGED', 'pg_dump ended in the middle of its table of contents')
  return toc
}
