import { spawnSync } from 'node:child_process'
import { commandPath } from '../../test/support/requirements.ts'

export type ToolName = 'restic' | 'holdfast'

/** One of the two programs compared. Both take the same commands and options. */
export interface Tool {
  readonly name: ToolName
  readonly program: string
  /** The first line of `version`. */
  readonly version: string
}

/** A tool that runs; throws when it does not. */
export function findTool(name: ToolName, program: string): Tool {
  const path = program.includes('/') ? program : commandPath(program)
  const result = path === undefined ? undefined : spawnSync(path, ['version'], { encoding: 'utf8' })
  if (path === undefined || result?.status !== 0) {
    throw new Error(`${name}: \`${program} version\` does not run${result?.stderr ? `: ${result.stderr.trim()}` : ''}`)
  }
  return { name, program: path, version: result.stdout.split('\n')[0]! }
}
