import { readFile } from 'node:fs/promises'
import { HoldfastError, systemErrorCode } from '../lib/errors.ts'
import type { Configuration } from './configuration.ts'
import { invalidConfiguration, type Reading } from './draft.ts'
import { type Environment, variable } from './environment.ts'
import { readEnvironmentDraft } from './environment-draft.ts'
import type { SourceSettings } from './json-schema.ts'
import { resolveDraft } from './resolve.ts'
import { readYamlDraft } from './yaml-draft.ts'

export interface LoadOptions {
  /** As given by --config. */
  readonly file?: string | undefined
  readonly environment: Environment
  /** The schema of the own keys of each type of source. */
  readonly sourceSettings: SourceSettings
  /** Where a file is looked for when neither `file` nor HOLDFAST_CONFIG names one. */
  readonly places?: readonly string[]
}

export const defaultPlaces: readonly string[] = ['./holdfast.yaml', '/etc/holdfast/holdfast.yaml']

/**
 * Reads the configuration: the file that is given or HOLDFAST_CONFIG names, else the first that is there, else what variables define. A file
 * is the whole truth: beside it no variable defines anything.
 * @throws HoldfastError HF_CONFIG_INVALID with all problems at once; HF_CONFIG_NOT_FOUND
 */
export async function loadConfiguration(options: LoadOptions): Promise<Configuration> {
  const { environment, sourceSettings, file, places = defaultPlaces } = options
  const named = file ?? variable(environment, 'HOLDFAST_CONFIG')
  if (named !== undefined) {
    const text = await readText(named)
    if (text !== undefined) return fromFile(named, text, sourceSettings)
    throw notFound(
      `there is no configuration file ${named}`,
      'write it, or name another with --config or HOLDFAST_CONFIG',
    )
  }
  for (const place of places) {
    const text = await readText(place)
    if (text !== undefined) return fromFile(place.replace(/^\.\//, ''), text, sourceSettings)
  }
  const reading = readEnvironmentDraft(environment, new Set(sourceSettings.keys()))
  if (reading !== undefined)
    return finish(
      undefined,
      reading,
      reading.warnings,
      sourceSettings,
      'change these variables, or write a holdfast.yaml; then run: holdfast config check',
    )
  throw notFound(
    'there is no configuration',
    `looked for ${places.join(', ')}; write one, name one with --config, or set BACKUP_STORAGE_PATH and BACKUP_ENCRYPTION_KEY`,
  )
}

function fromFile(file: string, bytes: Uint8Array, sourceSettings: SourceSettings): Configuration {
  const hint = `put it right, then run: holdfast config check --config ${file}`
  return finish(file, readYamlDraft(textOf(bytes, file, hint), file), [], sourceSettings, hint)
}

function finish(
  file: string | undefined,
  { draft, problems }: Reading,
  warnings: readonly string[],
  sourceSettings: SourceSettings,
  hint: string,
): Configuration {
  if (draft === undefined) throw invalidConfiguration(problems, hint)
  const resolution = resolveDraft(draft, sourceSettings)
  // What reading refused at a place is not refused there again for what it led to.
  const told = new Set(problems.map(({ place }) => place.text))
  if ('problems' in resolution)
    throw invalidConfiguration([...problems, ...resolution.problems.filter(({ place }) => !told.has(place.text))], hint)
  if (problems.length > 0) throw invalidConfiguration(problems, hint)
  return { ...resolution.configuration, file, warnings }
}

/** The bytes of a file; undefined when there is none. */
async function readText(file: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(file)
  } catch (cause) {
    const code = systemErrorCode(cause)
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw new HoldfastError('HF_CONFIG_NOT_FOUND', `configuration file ${file} cannot be read: ${code}`, {
      cause,
      hint:
        code === 'EISDIR'
          ? 'it is a folder; name a file'
          : 'make it readable for this user, or name another with --config',
    })
  }
}

function textOf(bytes: Uint8Array, file: string, hint: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw invalidConfiguration([{ place: { text: `${file}:1:1`, order: 0 }, what: 'is not UTF-8 text' }], hint)
  }
}

const notFound = (message: string, hint: string): HoldfastError =>
  new HoldfastError('HF_CONFIG_NOT_FOUND', message, { hint })
