import { readFile } from 'node:fs/promises'
import type { PriceShape } from '../config/price-shape.ts'
import type { PasswordKey } from '../engine/keys/password-key.ts'
import type { StoreSettings } from '../engine/storage/index.ts'
import { HoldfastError, systemErrorCode } from '../lib/errors.ts'
import { trimSpace } from '../lib/white-space.ts'
import { type Environment, readEnvironment } from './environment.ts'
import type { FromRepositoryOptions } from './options/from-repository.ts'
import type { GlobalOptions } from './options/global.ts'
import type { ValueSource } from './options/parse.ts'
import { decodeText } from './text-file.ts'

/** Which repository and how to open it: the options of one repository, whatever they are called. */
export interface AccessOptions {
  /** Before the names of options and variables: `` or `from-`. */
  readonly prefix: '' | 'from-'
  readonly repo: string | undefined
  readonly repositoryFile: string | undefined
  readonly passwordFile: string | undefined
  readonly passwordCommand: string | undefined
  readonly keyHint: string | undefined
  readonly insecureNoPassword: boolean
}

/** A repository that holdfast.yaml describes. */
export interface ConfiguredAccess {
  /** Its name there. */
  readonly name: string
  readonly url: string
  readonly store: StoreSettings
  /** The region it may lie in. */
  readonly mustLieIn?: string | undefined
  /** Reads the password from where the configuration says it is; absent where only keys open the repository. */
  readonly readPassword?: (() => Promise<string>) | undefined
  readonly keys?: ConfiguredKeys | undefined
  /** What its store charges. */
  readonly prices?: PriceShape | undefined
  /** What the command line says about opening it, which wins. */
  readonly typed?: Pick<ResolvedAccess, 'keyHint'> & { readonly password: PasswordSource | undefined }
}

/** Keys that the configuration names for a repository. */
export interface ConfiguredKeys {
  /** What cannot be used is among them and says so when it is used. */
  readonly load: () => Promise<readonly PasswordKey[]>
  /** After so many days a key is to be rotated. */
  readonly maxAgeDays: number
}

/** Where a password comes from. */
export type PasswordSource =
  | { readonly kind: 'secret'; readonly read: () => Promise<string> }
  | { readonly kind: 'empty' }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'command'; readonly command: string }
  | { readonly kind: 'variable'; readonly name: string; readonly password: string }
  | { readonly kind: 'prompt' }

export const mainAccess = (global: GlobalOptions): AccessOptions => ({
  prefix: '',
  repo: global.repo,
  repositoryFile: global.repositoryFile,
  passwordFile: global.passwordFile,
  passwordCommand: global.passwordCommand,
  keyHint: global.keyHint,
  insecureNoPassword: global.insecureNoPassword,
})

/** The source repository of `copy` and `init --copy-chunker-params`. */
export const sourceAccess = (options: FromRepositoryOptions): AccessOptions => ({
  prefix: 'from-',
  repo: options.fromRepo,
  repositoryFile: options.fromRepositoryFile,
  passwordFile: options.fromPasswordFile,
  passwordCommand: options.fromPasswordCommand,
  keyHint: options.fromKeyHint,
  insecureNoPassword: options.fromInsecureNoPassword,
})

export const isConfigured = (access: AccessOptions | ConfiguredAccess): access is ConfiguredAccess => 'url' in access

/** What opening a repository takes. */
export interface ResolvedAccess {
  /** For prompts and messages. */
  readonly what: string
  readonly location: string
  /** What the configuration says about the store. */
  readonly store: StoreSettings
  readonly mustLieIn?: string | undefined
  /** Used when no key opens the repository; absent where there are only keys. */
  readonly password: PasswordSource | undefined
  /** Absent when the command line names a password, which wins. */
  readonly keys: ConfiguredKeys | undefined
  readonly keyHint: string | undefined
}

/** The location and password that options, variables or the configuration name. @throws HoldfastError HF_USAGE */
export async function resolveAccess(
  access: AccessOptions | ConfiguredAccess,
  sources: Sources,
  environment: Environment,
): Promise<ResolvedAccess> {
  if (isConfigured(access)) {
    const { name, url, store, mustLieIn, readPassword, keys, typed } = access
    return {
      what: `repository ${name}`,
      location: url,
      store,
      mustLieIn,
      password: typed?.password ?? (readPassword && { kind: 'secret', read: readPassword }),
      keys: typed?.password === undefined ? keys : undefined,
      keyHint: typed?.keyHint,
    }
  }
  return {
    what: access.prefix === '' ? 'repository' : 'source repository',
    location: await chooseLocation(access, sources),
    store: {},
    password: choosePassword(access, sources, environment),
    keys: undefined,
    keyHint: access.keyHint,
  }
}

/** Whether options or variables say where the repository is. */
export const isLocationGiven = ({ repo, repositoryFile }: AccessOptions): boolean => Boolean(repo || repositoryFile)

type Sources = ReadonlyMap<string, ValueSource>

interface Candidate<T> {
  readonly rank: number
  readonly name: string
  readonly value: T
}

/** What options or variables say about where a repository is. */
export interface GivenLocation {
  readonly rank: ValueSource['rank']
  readonly kind: 'text' | 'file'
  /** The location itself, or the file that holds it. */
  readonly value: string
}

/**
 * What was given. The command line wins over HOLDFAST_ variables, these over RESTIC_ variables.
 * @throws HoldfastError HF_USAGE when two of the same strength were
 */
export function givenLocation(options: AccessOptions, sources: Sources): GivenLocation | undefined {
  const { prefix } = options
  const given = (kind: GivenLocation['kind']) => (value: string) => ({ kind, value })
  const chosen = strongest([
    candidate(options.repo, sources.get(`${prefix}repo`), given('text')),
    candidate(options.repositoryFile, sources.get(`${prefix}repository-file`), given('file')),
  ])
  return chosen && { ...chosen.value, rank: chosen.rank as ValueSource['rank'] }
}

/**
 * Whether the configuration has to be asked which repository is meant: nothing was given, or one word, which may be a name. What has a slash
 * or a scheme is a location, and so is what was set for restic.
 */
export function asksConfiguration(options: AccessOptions, sources: Sources): boolean {
  const given = givenLocation(options, sources)
  if (given === undefined) return options.prefix === ''
  return given.kind === 'text' && given.rank < 2 && /^[\w-][\w.-]*$/.test(given.value)
}

/**
 * The location of the repository.
 * @throws HoldfastError HF_USAGE when there is none, or two of the same strength
 */
export async function chooseLocation(options: AccessOptions, sources: Sources): Promise<string> {
  const { prefix } = options
  const given = givenLocation(options, sources)
  if (given === undefined)
    throw new HoldfastError('HF_USAGE', prefix === '' ? 'no repository was given' : 'no source repository was given', {
      hint: `give --${prefix}repo or --${prefix}repository-file, or set HOLDFAST_${prefix === '' ? '' : 'FROM_'}REPOSITORY`,
    })
  const { kind, value } = given
  if (kind === 'text') return value
  const location = trimSpace(await readTextFile(value, `repository file ${value}`))
  if (location === '') throw new HoldfastError('HF_USAGE', `repository file ${value} is empty`)
  return location
}

/**
 * Where the password is to be taken from, by the same order. In one group a file or command wins over a variable that holds the password.
 * @throws HoldfastError HF_USAGE when two contradict each other
 */
export function choosePassword(options: AccessOptions, sources: Sources, environment: Environment): PasswordSource {
  const { prefix } = options
  const candidates = [
    candidate(
      options.passwordFile,
      sources.get(`${prefix}password-file`),
      (path): PasswordSource => ({ kind: 'file', path }),
    ),
    candidate(
      options.passwordCommand,
      sources.get(`${prefix}password-command`),
      (command): PasswordSource => ({ kind: 'command', command }),
    ),
  ]
  const variable = readEnvironment(environment, prefix === '' ? 'PASSWORD' : 'FROM_PASSWORD')
  if (variable !== undefined)
    candidates.push({
      // Weaker than a file or command of the same group, stronger than the next group.
      rank: (variable.name.startsWith('HOLDFAST_') ? 1 : 2) + 0.5,
      name: variable.name,
      value: { kind: 'variable', name: variable.name, password: variable.value },
    })
  const chosen = strongest(candidates)
  if (!options.insecureNoPassword) return chosen?.value ?? { kind: 'prompt' }
  if (chosen !== undefined)
    throw new HoldfastError(
      'HF_USAGE',
      `--${prefix}insecure-no-password was given and also a password by ${chosen.name}`,
      {
        hint: 'leave one of the two out',
      },
    )
  return { kind: 'empty' }
}

/** The password that the command line itself names, for a repository whose configuration names one. */
export function typedPassword(options: AccessOptions, sources: Sources): PasswordSource | undefined {
  const typed = (name: string, text: string | undefined): string | undefined =>
    sources.get(`${options.prefix}${name}`)?.rank === 0 ? text : undefined
  const onlyTyped = {
    ...options,
    passwordFile: typed('password-file', options.passwordFile),
    passwordCommand: typed('password-command', options.passwordCommand),
  }
  const chosen = choosePassword(onlyTyped, sources, {})
  return chosen.kind === 'prompt' ? undefined : chosen
}

/**
 * Text of a small file.
 * @throws HoldfastError HF_USAGE naming `what`
 */
export async function readTextFile(path: string, what: string): Promise<string> {
  let bytes: Uint8Array
  try {
    bytes = await readFile(path)
  } catch (cause) {
    const reason =
      systemErrorCode(cause) === 'ENOENT' ? 'does not exist' : `cannot be read: ${(cause as Error).message}`
    throw new HoldfastError('HF_USAGE', `${what} ${reason}`, { cause })
  }
  return decodeText(bytes, what)
}

function candidate<T>(
  text: string | undefined,
  source: ValueSource | undefined,
  make: (text: string) => T,
): Candidate<T> | undefined {
  return text === undefined || text === '' || source === undefined
    ? undefined
    : { rank: source.rank, name: source.name, value: make(text) }
}

function strongest<T>(candidates: readonly (Candidate<T> | undefined)[]): Candidate<T> | undefined {
  const given = candidates.filter((one) => one !== undefined).sort((a, b) => a.rank - b.rank)
  const [first, second] = given
  if (first !== undefined && first.rank === second?.rank)
    throw new HoldfastError('HF_USAGE', `${first.name} and ${second.name} cannot be given together`, {
      hint: 'leave one of the two out',
    })
  return first
}
