import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isHoldfastError } from '../../lib/errors.ts'
import type { Environment } from '../environment.ts'
import { type GlobalOptions, globalOptions } from './global.ts'
import { flag, list, type OptionTable, value } from './option.ts'
import { type OptionGroup, type ParsedOptions, parseOptions } from './parse.ts'
import { tagsKind, textKind } from './values.ts'

interface Local {
  readonly exclude: readonly string[]
  readonly force: boolean
  readonly latest: string | undefined
  readonly host: readonly string[]
  readonly tag: readonly (readonly string[])[]
}

const options: OptionTable<Local> = {
  exclude: list('exclude', textKind('pattern'), 'x', { short: 'e' }),
  force: flag('force', 'x', { short: 'f' }),
  latest: value('latest', textKind('n'), 'x', { aliases: [{ long: 'last', instead: '--latest 1', stands: '1' }] }),
  host: list('host', textKind('host'), 'x', {
    environment: 'HOST',
    aliases: [{ long: 'hostname', instead: '--host' }],
  }),
  tag: list('tag', tagsKind, 'x'),
}
const local: OptionGroup<Local> = {
  options,
  refused: [{ long: 'repo2', takesValue: true, reason: 'of its age' }],
  retired: [{ long: 'check-unused', note: 'see prune' }],
}

const parse = (args: readonly string[], environment: Environment = {}): ParsedOptions<GlobalOptions, Local> =>
  parseOptions(args, globalOptions, local, environment)

function failure(
  args: readonly string[],
  environment: Environment = {},
): { code: string; message: string; hint: string } {
  try {
    parse(args, environment)
  } catch (error) {
    if (isHoldfastError(error)) return { code: error.code, message: error.message, hint: error.hint ?? '' }
    throw error
  }
  throw new Error('was accepted')
}

describe('the ways to write an option', () => {
  test.each([
    [['--repo', '/r']],
    [['--repo=/r']],
    [['-r', '/r']],
    [['-r/r']],
    [['-r=/r']],
    [['-qr/r']],
    [['-qr', '/r']],
    [['-qr=/r']],
    [['--repo', '/x', '--repo', '/r']],
  ])('%j', (args) => {
    expect(parse(args).global.repo).toBe('/r')
  })

  test.each([
    [['--json'], true],
    [['--json=true'], true],
    [['--json=T'], true],
    [['--json=1'], true],
    [['--json=false'], false],
    [['--json', '--json=0'], false],
    [[], false],
  ])('%j is %j', (args, json) => {
    expect(parse(args).global.json).toBe(json)
  })

  test.each([
    [['-v'], 1],
    [['-vv'], 2],
    [['-v', '--verbose', '-v'], 3],
    [['--verbose=2'], 2],
    [['-v=2'], 2],
    [['-qv=2'], 2],
    [['--verbose=2', '-v'], 3],
  ])('%j is verbosity %i', (args, verbose) => {
    expect(parse(args).global.verbose).toBe(verbose)
  })

  test('options and arguments may be mixed, and -- ends the options', () => {
    const parsed = parse(['a', '-e', '*.o', 'b', '--force', '-', '--', '-e', '--', 'c'])
    expect(parsed.positionals).toEqual(['a', 'b', '-', '-e', '--', 'c'])
    expect(parsed.options).toMatchObject({ exclude: ['*.o'], force: true })
  })

  test('a value may look like an option and may be empty', () => {
    expect(parse(['-e', '-f', '-e', '--', '-e', '', '--exclude=', '-e=x=y']).options.exclude).toEqual([
      '-f',
      '--',
      '',
      '',
      'x=y',
    ])
  })

  test('a list keeps its order, and tags of one occurrence stay together', () => {
    expect(parse(['--tag', 'a, b', '--tag', 'c']).options.tag).toEqual([['a', 'b'], ['c']])
  })

  test('extended options may be separated by commas; keys are not case-sensitive', () => {
    expect(parse(['-o', 's3.Connections=10,local.x = y', '-o', '"a=b,c"']).global.extended).toEqual([
      { key: 's3.connections', value: '10' },
      { key: 'local.x', value: 'y' },
      { key: 'a', value: 'b,c' },
    ])
  })

  test('every argument after -- is a positional, whatever it is', () => {
    fc.assert(
      fc.property(fc.array(fc.string()), (words) => {
        expect(parse(['-f', '--', ...words]).positionals).toEqual(words)
      }),
    )
  })

  test('every value arrives as it was written, in each spelling', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(parse(['--exclude', text]).options.exclude).toEqual([text])
        expect(parse([`--exclude=${text}`]).options.exclude).toEqual([text])
        expect(parse(['-e', text]).options.exclude).toEqual([text])
        if (text !== '' && text !== '=') expect(parse([`-e=${text}`]).options.exclude).toEqual([text])
      }),
    )
  })

  test('no command line makes the parser fail in another way than by an error for people', () => {
    const word = fc.oneof(
      fc.string({ maxLength: 6 }),
      fc.constantFrom(
        '-v=',
        '-=',
        '--',
        '---',
        '-fe',
        '-ff=1',
        '--=x',
        '--json=',
        '--__proto__',
        '--constructor=1',
        '-vr',
        '-éé',
      ),
    )
    fc.assert(
      fc.property(fc.array(word, { maxLength: 5 }), (words) => {
        try {
          parse(words)
        } catch (error) {
          expect(isHoldfastError(error, 'HF_USAGE', 'HF_UNSUPPORTED')).toBe(true)
        }
      }),
    )
  })
})

describe('the environment', () => {
  test('fills in what is not on the command line: our variable, else restic’s; empty ones count as not set', () => {
    expect(parse([], { HOLDFAST_REPOSITORY: '/h', RESTIC_REPOSITORY: '/r' }).global.repo).toBe('/h')
    expect(parse([], { HOLDFAST_REPOSITORY: '', RESTIC_REPOSITORY: '/r' }).global.repo).toBe('/r')
    expect(parse(['-r', '/a'], { HOLDFAST_REPOSITORY: '/h' }).global.repo).toBe('/a')
    expect(parse([], { RESTIC_CACERT: 'a.pem,b.pem' }).global.caCertificateFiles).toEqual(['a.pem', 'b.pem'])
    expect(parse(['--host', 'x'], { RESTIC_HOST: 'y' }).options.host).toEqual(['x'])
  })

  test('tells where a value comes from', () => {
    const { sources } = parse(['-r', '/a'], { HOLDFAST_KEY_HINT: 'x', RESTIC_PASSWORD_FILE: '/p' })
    expect(Object.fromEntries(sources)).toEqual({
      repo: { rank: 0, name: '--repo' },
      'key-hint': { rank: 1, name: 'HOLDFAST_KEY_HINT' },
      'password-file': { rank: 2, name: 'RESTIC_PASSWORD_FILE' },
    })
  })

  test('a bad value is refused with the name of the variable', () => {
    expect(failure([], { RESTIC_PACK_SIZE: 'big' })).toEqual({
      code: 'HF_USAGE',
      message: 'RESTIC_PACK_SIZE: "big" is not a whole number',
      hint: 'give a whole number of MiB from 4 to 128',
    })
  })
})

describe('what is refused', () => {
  test.each([
    [['--frce'], 'unknown option --frce', 'did you mean --force? --help lists the options'],
    [['--frobnicate=1'], 'unknown option --frobnicate', '--help lists the options'],
    [['-Z'], 'unknown option -Z', '--help lists the options'],
    [['-fZ'], 'unknown option -Z', '--help lists the options'],
    [['--repo'], 'option --repo needs a value', 'give a folder, or scheme:place, as in --repo repository'],
    [['-fr'], 'option -r needs a value', 'give a folder, or scheme:place, as in --repo repository'],
    [['--json=maybe'], '--json: "maybe" is neither true nor false', 'give true or false'],
    [['-v=x'], '-v: "x" is not a whole number', 'give a whole number'],
    [['--retry-lock', '5'], '--retry-lock: "5" is no duration', 'give a duration like 90s, 5m or 2h30m'],
    [
      ['--compression=zip'],
      '--compression: "zip" is not one of the possible values',
      'give one of auto, off, fastest, better, max',
    ],
    [['-o', '=x'], '-o: "=x" has no key before the equals sign', 'give a setting as key=value'],
    [['--last=1'], 'option --last takes no value', ''],
  ])('%j: %s', (args, message, hint) => {
    expect(failure(args)).toEqual({ code: 'HF_USAGE', message, hint })
  })

  test('an option of restic that makes no sense here, by name and with the reason', () => {
    expect(failure(['--repo2', '/x'])).toMatchObject({
      code: 'HF_UNSUPPORTED',
      message: 'option --repo2 is not supported: of its age',
    })
    expect(failure(['--insecure-kdf']).code).toBe('HF_UNSUPPORTED')
  })

  test('the first mistake on the command line is the one that is told', () => {
    expect(failure(['--latest', '1', '--zzz', '--repo2', 'x']).message).toBe('unknown option --zzz')
  })
})

describe('older names', () => {
  test('are understood with a warning', () => {
    const parsed = parse(['--hostname', 'a', '--host=b', '--last', '--check-unused'])
    expect(parsed.options).toMatchObject({ host: ['a', 'b'], latest: '1' })
    expect(parsed.warnings).toEqual([
      'option --hostname is deprecated, use --host',
      'option --last is deprecated, use --latest 1',
      'option --check-unused has no effect any more: see prune',
    ])
  })
})
