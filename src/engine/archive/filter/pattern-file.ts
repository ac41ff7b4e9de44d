import { trimSpaceBytes } from '../../../lib/white-space.ts'
import { byteStringToText, textToByteString } from '../../repository/tree/node.ts'
import { countRunes } from './byte-string.ts'
import type { PatternSource } from './pattern.ts'
import { decodeText, readListFile, splitLines } from './text-file.ts'

/** The environment variables patterns may name. */
export type Environment = Readonly<Record<string, string | undefined>>

/**
 * Reads the patterns of exclude or include files, in order.
 *
 * @param purpose the option that names the files (`--exclude-file`), for messages.
 * @throws HF_PATH_NOT_FOUND or HF_USAGE when a file cannot be read.
 */
export async function readPatternFiles(
  paths: readonly string[],
  purpose: string,
  environment: Environment = process.env,
): Promise<PatternSource[]> {
  const sources: PatternSource[] = []
  for (const path of paths) sources.push(...parsePatternFile(await readListFile(path, purpose), path, environment))
  return sources
}

/**
 * The patterns of one file: a line each, white space around it is cut off, empty lines and those that start with `#` say nothing,
 * `$NAME` and `${NAME}` stand for environment variables, `$$` for a dollar sign.
 */
export function parsePatternFile(bytes: Uint8Array, file: string, environment: Environment): PatternSource[] {
  const sources: PatternSource[] = []
  splitLines(decodeText(bytes)).forEach((line, index) => {
    const { text, cut } = trimSpaceBytes(line)
    if (text === '' || text.startsWith('#')) return
    const expanded = expandVariables(text, environment)
    const column = expanded === text ? countRunes(line.slice(0, cut)) + 1 : undefined
    sources.push({ text: expanded, origin: { file, line: index + 1, column } })
  })
  return sources
}

/**
 * Replaces variables as Go's os.Expand does. A variable that is not set is empty; a `$` that no name follows stays;
 * `${}` and an unclosed `${` are dropped.
 */
export function expandVariables(text: string, environment: Environment): string {
  return text.replace(/\$(?:\{([^}]*)\}|(\{)|([*#$@!?\-0-9])|([A-Za-z_][A-Za-z0-9_]*))/g, (_all, ...groups) => {
    const [braced, , special, plain] = groups as (string | undefined)[]
    const name = braced || special || plain || ''
    if (name === '$') return '$'
    const variable = byteStringToText(name)
    return Object.hasOwn(environment, variable) ? textToByteString(environment[variable] ?? '') : ''
  })
}
