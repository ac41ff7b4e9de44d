/** How the text of one value becomes a value, and what help, completion and errors say about it. */
export interface ValueKind<T> {
  /** The word for the value in help: `--target DIRECTORY`. */
  readonly placeholder: string
  /** What to give, for the hint of an error: `a size like 500K, 16M or 2G`. */
  readonly expects: string
  readonly completes?: Completion
  /** @throws Error whose message says what is wrong with `text` */
  parse(text: string): T
}

/** What a shell offers for a value; for a repository the names of the configuration, and folders. */
export type Completion = 'file' | 'directory' | 'repository' | readonly string[]

/**
 * How an option takes its value. `flag`: none, or `=true|false`. `count`: none, each occurrence adds one, or `=n`. `value`: one, the last
 * occurrence wins. `list`: one for each occurrence.
 */
export type Arity = 'flag' | 'count' | 'value' | 'list'

/** One option of a command, as data; the parser, help, completion and the reference are made from it. */
export interface Option<T> {
  /** Without dashes. */
  readonly long: string
  /** One letter. */
  readonly short?: string
  readonly arity: Arity
  readonly kind: ValueKind<unknown>
  readonly help: string
  /** The value when the option is not given, neither on the command line nor by its environment variable. */
  readonly initial: T
  /** `initial` in words, when there is one worth telling. */
  readonly initialText?: string
  /** `HOST`: read from HOLDFAST_HOST, then RESTIC_HOST, unless given on the command line. */
  readonly environment?: string
  readonly aliases?: readonly OptionAlias[]
  /** The value after one more occurrence; `before` is undefined at the first. */
  add(before: T | undefined, text: string): T
}

/** An older name, still understood with a warning. */
export interface OptionAlias {
  readonly long: string
  /** What to write instead. */
  readonly instead: string
  /** For an alias that takes no value: the value it stands for. */
  readonly stands?: string
}

/** All options of a command, under the keys of its options object. */
export type OptionTable<T> = { readonly [K in keyof T]-?: Option<T[K]> }

/** The options of any command. */
export type AnyOptionTable = Readonly<Record<string, Option<unknown>>>

/** An option of restic that is refused. */
export interface RefusedOption {
  readonly long: string
  readonly takesValue: boolean
  readonly reason: string
}

/** An option that restic itself no longer acts on: accepted with a warning, so that old scripts keep running. */
export interface RetiredOption {
  readonly long: string
  readonly note: string
}

export interface OptionDetails {
  readonly short?: string
  readonly environment?: string
  readonly aliases?: readonly OptionAlias[]
}

const truth: Readonly<Record<string, boolean>> = {
  1: true,
  t: true,
  T: true,
  true: true,
  TRUE: true,
  True: true,
  0: false,
  f: false,
  F: false,
  false: false,
  FALSE: false,
  False: false,
}

/** The spellings of Go's strconv.ParseBool, which restic's users may have in scripts. */
export const booleanKind: ValueKind<boolean> = {
  placeholder: 'true|false',
  expects: 'true or false',
  completes: ['true', 'false'],
  parse(text) {
    const value = Object.hasOwn(truth, text) ? truth[text] : undefined
    if (value === undefined) throw new Error('is neither true nor false')
    return value
  },
}

const levelKind: ValueKind<number> = {
  placeholder: 'n',
  expects: 'a whole number',
  parse(text) {
    if (!/^[+-]?\d{1,9}$/.test(text)) throw new Error('is not a whole number')
    return Number(text)
  },
}

export function flag(long: string, help: string, details: OptionDetails = {}): Option<boolean> {
  return {
    long,
    arity: 'flag',
    kind: booleanKind,
    help,
    initial: false,
    ...details,
    add: (_, text) => booleanKind.parse(text),
  }
}

/** `-vv` is 2, `--verbose=2` too. */
export function count(long: string, help: string, details: OptionDetails = {}): Option<number> {
  return {
    long,
    arity: 'count',
    kind: levelKind,
    help,
    initial: 0,
    ...details,
    add: (before, text) => (text === '+1' ? (before ?? 0) + 1 : levelKind.parse(text)),
  }
}

/** An option with a value; undefined when it is not given. */
export function value<T>(
  long: string,
  kind: ValueKind<T>,
  help: string,
  details: OptionDetails = {},
): Option<T | undefined> {
  return { long, arity: 'value', kind, help, initial: undefined, ...details, add: (_, text) => kind.parse(text) }
}

/** An option with a value and a default, told in the words of `initialText`. */
export function valueOr<T>(
  long: string,
  kind: ValueKind<T>,
  initialText: string,
  help: string,
  details: OptionDetails = {},
): Option<T> {
  const initial = kind.parse(initialText)
  return { long, arity: 'value', kind, help, initial, initialText, ...details, add: (_, text) => kind.parse(text) }
}

/** An option that may be given several times. */
export function list<T>(
  long: string,
  kind: ValueKind<T>,
  help: string,
  details: OptionDetails = {},
): Option<readonly T[]> {
  return {
    long,
    arity: 'list',
    kind,
    help,
    initial: [],
    ...details,
    add: (before, text) => [...(before ?? []), kind.parse(text)],
  }
}

/** The same where one occurrence may hold several values, separated by commas. */
export function separatedList<T>(
  long: string,
  kind: ValueKind<readonly T[]>,
  help: string,
  details: OptionDetails = {},
): Option<readonly T[]> {
  return {
    long,
    arity: 'list',
    kind,
    help,
    initial: [],
    ...details,
    add: (before, text) => [...(before ?? []), ...kind.parse(text)],
  }
}

/** For commands with global options only. */
export type NoOptions = Record<never, never>

export const noOptions: OptionTable<NoOptions> = {}
